import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import fc from "fast-check";
import { parseAllDocuments } from "yaml";
import { SERVICE_FIELDS } from "../host/read-service.ts";
import { SYSTEM_FIELDS } from "../host/resolve-system.ts";
import { weftSchema } from "../host/system-schema.ts";
import { grpcRoute, rateLimit, route, traffic } from "../policy/builders.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { parseResources } from "../policy/resource/validate.ts";
import { schemaText } from "./commands/schema.ts";

const root = join(import.meta.dirname, "../..");
const valid: ValidateFunction = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false }).compile(
  weftSchema(),
);

function problems(value: unknown): string {
  return valid(value) ? "" : JSON.stringify(valid.errors?.slice(0, 3));
}

const EXAMPLES: readonly Resource[] = [
  ...route("/v[0-9]+/orders")
    .matching()
    .header("x", { matches: "a.*" })
    .query("q", "1")
    .method("GET")
    .to({ "a@v1": { weight: 2, headers: { remove: ["x"] } }, b: 1 })
    .resources(),
  ...route("/a")
    .to("a")
    .cors({ allowOrigins: ["https://*.x.example"], allowMethods: ["*"], maxAge: 5 })
    .sticky({ idle: "5m" })
    .timeout("2s", 500)
    .retry(2, { codes: [503], backoff: 50 })
    .mirror("m", { numerator: 1, denominator: 1_000 })
    .rewrite({ path: "/", host: "h.example" })
    .resources(),
  ...route("/old")
    .redirect({
      hostname: "new.example",
      statusCode: 301,
      path: { type: "ReplacePrefixMatch", replacePrefixMatch: "" },
    })
    .resources(),
  ...grpcRoute("p.P/Get").or("*/Put").to("p").sticky({ by: "header", name: "x-s", permanent: false }).resources(),
  ...traffic("payments")
    .timeout("800ms")
    .retry(2)
    .breaker()
    .fallback({ status: "accepted", body: { queued: true } })
    .resources(),
  ...rateLimit("orders.v1.Orders/Place").allow(10, "1m").byHeader("x-user").resources(),
];

test("the published file is what the shapes say", () => {
  const published = readFileSync(join(root, "schema/weft.schema.json"), "utf8");
  assert.ok(published === schemaText(), "schema/weft.schema.json is not up to date; run: npm run schema");
});

/** Every resource in a yaml block of the docs, but for what only Kubernetes knows. */
const DOCUMENTED: readonly { readonly file: string; readonly value: unknown }[] = globSync("docs/**/*.md", {
  cwd: root,
}).flatMap((file) =>
  [...readFileSync(join(root, file), "utf8").matchAll(/^```yaml\n(.*?)^```/gms)]
    .flatMap(([, block]) =>
      parseAllDocuments(block).map((document): unknown => ("toJS" in document ? document.toJS() : null)),
    )
    .filter((value) => typeof value === "object" && value !== null && "kind" in value)
    .filter((value) => !/^(?:rbac\.authorization|apps)\b/.test(String((value as { apiVersion?: string }).apiVersion)))
    .map((value) => ({ file, value })),
);

test("builders' resources and every resource in the docs are accepted", () => {
  for (const resource of EXAMPLES) assert.equal(problems(resource), "", resource.metadata.name);
  assert.ok(DOCUMENTED.length > 0);
  for (const { file, value } of DOCUMENTED) assert.equal(problems(value), "", `${file}: ${JSON.stringify(value)}`);
});

test("what is wrong at a glance is refused", () => {
  const [first] = EXAMPLES;
  assert.notEqual(problems({ ...first, kind: "HTTPRout" }), "");
  assert.notEqual(problems({ ...first, spec: { ...first.spec, ruls: [] } }), "");
  assert.notEqual(problems({ ...EXAMPLES[4], spec: { timeout: 5 } }), "");
  assert.notEqual(problems({ ...EXAMPLES[5], spec: {} }), "");
  assert.notEqual(problems({ name: "shop" }), "");
  assert.notEqual(problems({ name: "shop", services: { a: { run: "a.ts", replica: 2 } } }), "");
});

test("a system is accepted, with resources in its place", () => {
  const system = {
    name: "shop",
    gateway: { listen: 8080 },
    services: { a: { run: ["python3", "a.py"], versions: { v1: { replicas: 2 } }, env: { A: 1 } } },
    routes: [EXAMPLES[0]],
    resources: ["more.yaml", EXAMPLES[3]],
  };
  assert.equal(problems(system), "");
  assert.notEqual(problems({ ...system, routes: [{ ...EXAMPLES[0], spec: {} }] }), "");
});

test("it knows the fields that are read", () => {
  const { $defs } = weftSchema() as { $defs: Record<string, { properties: Record<string, unknown> }> };
  assert.deepEqual(Object.keys($defs.system.properties).sort(), [...SYSTEM_FIELDS].sort());
  const services = $defs.system.properties.services as { additionalProperties: { properties: object; $ref?: string } };
  assert.deepEqual(Object.keys(services.additionalProperties.properties).sort(), [...SERVICE_FIELDS].sort());
});

test("whatever the checks accept the schema accepts", () => {
  // Valid resources with something changed somewhere: what is still accepted must be accepted here, too.
  const junk = fc.constantFrom<unknown>(0, 1, -1, 1.5, "", "a", "5s", "0s", true, null, [], {}, "*", "Exact", ["a"]);
  const seeds = [...EXAMPLES, ...DOCUMENTED.map(({ value }) => value)];
  let accepted = 0;
  fc.assert(
    fc.property(
      fc.nat(seeds.length - 1),
      fc.infiniteStream(fc.nat(1_000)),
      fc.integer({ min: 0, max: 3 }),
      junk,
      (at, stream, how, value) => {
        const resource = structuredClone(seeds[at]) as Record<string, unknown>;
        let node = resource.spec as Record<string, unknown>;
        for (;;) {
          const keys = Object.keys(node);
          if (keys.length === 0) break;
          const key = keys[stream.next().value % keys.length];
          const below = node[key];
          if (typeof below === "object" && below !== null && stream.next().value % 4 !== 0)
            node = below as Record<string, unknown>;
          else {
            if (how === 0) Array.isArray(node) ? node.splice(Number(key), 1) : delete node[key];
            else node[key] = value;
            break;
          }
        }
        try {
          parseResources([resource]);
        } catch {
          return;
        }
        accepted++;
        assert.equal(problems(resource), "", JSON.stringify(resource));
      },
    ),
    { numRuns: 4_000 },
  );
  assert.ok(accepted > 100, String(accepted));
});
