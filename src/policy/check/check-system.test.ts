import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { authorization, route, traffic } from "../builders.ts";
import { http } from "../machine/call.case.ts";
import { readResourceDocuments } from "../resource/read-resource-documents.ts";
import type { HTTPRouteMatch, Resource } from "../resource/resources.ts";
import { routeEntries } from "../route/route-entries.ts";
import { RouteTable } from "../route/route-table.ts";
import { amplifications } from "./call-graph.ts";
import { type CheckOptions, checkSystem } from "./check-system.ts";
import type { Finding } from "./finding.ts";
import { FINDINGS } from "./finding.ts";
import { sarif } from "./sarif.ts";

const check = (text: string, options: CheckOptions = {}): Finding[] =>
  checkSystem(readResourceDocuments(text, "p.yaml"), options);
const shown = (findings: readonly Finding[]): string[] =>
  findings.map(({ id, place, message }) => `${place.line ?? ""}:${place.column ?? ""} ${id} ${message}`);

function httpRoute(name: string, rules: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  rules:
${rules}`;
}

test("a match that another takes first is told, with both places", () => {
  const text = httpRoute(
    "shop",
    `    - matches: [{ path: { value: /v1 } }, { path: { value: /v1/ } }]
      backendRefs: [{ name: a }]
    - matches: [{ path: { value: /v1 }, method: GET }]
      backendRefs: [{ name: b }]
    - matches: [{ path: { type: Exact, value: /v1 } }]
      backendRefs: [{ name: c }]
    - name: late
      matches: [{ path: { value: /v1 }, method: GET }]
      backendRefs: [{ name: d }]
`,
  );
  const findings = check(text);
  assert.deepEqual(shown(findings), [
    "6:43 route-never-matches HTTPRoute shop, rule 1, match 2 (/v1/) never matches: every such request goes to another match of the same rule first",
    "13:17 route-never-matches HTTPRoute shop, rule late, match 1 (/v1) never matches: every such request goes to HTTPRoute shop, rule 2, match 1 (/v1) first",
  ]);
  assert.equal(findings[1].related[0].place.line, 8);
});

test("paths that no request has are told", () => {
  const paths = (value: string) =>
    httpRoute(
      "shop",
      `    - matches: [{ path: { type: Exact, value: "${value}" } }]\n      backendRefs: [{ name: a }]\n`,
    );
  assert.match(check(paths("/a/../b"))[0].message, /paths are compared as \/b/);
  assert.equal(check(paths("/a?b=c")).length, 1);
  assert.equal(check(paths("/a/b")).length, 0);
});

test("an expression with anything behind takes what begins so; another expression is left in doubt", () => {
  const rules = (expression: string) =>
    httpRoute(
      "shop",
      `    - matches: [{ path: { type: RegularExpression, value: "${expression}" } }]
      backendRefs: [{ name: a }]
    - matches: [{ path: { value: /v1/orders } }]
      backendRefs: [{ name: b }]
`,
    );
  assert.equal(check(rules("/v1/.*")).length, 1);
  assert.equal(check(rules("/v1/[a-z]+")).length, 0);
  assert.equal(check(rules("/v2.*")).length, 0);
});

test("whatever is told never to match is never found, and whatever is not told is", () => {
  const match: fc.Arbitrary<HTTPRouteMatch> = fc.record(
    {
      path: fc.record({
        type: fc.constantFrom("Exact" as const, "PathPrefix" as const),
        value: fc.constantFrom("/", "/a", "/a/", "/a/b", "/b"),
      }),
      method: fc.constantFrom("GET", "POST"),
      headers: fc.constantFrom(
        [{ name: "x", value: "1" }],
        [
          { name: "x", value: "1" },
          { name: "y", value: "2" },
        ],
      ),
      queryParams: fc.constantFrom([{ name: "q", value: "1" }]),
    },
    { requiredKeys: [] },
  );
  const host = fc.constantFrom(undefined, ["a.example"], ["*.example"], ["a.example", "b.test"]);
  const resource = (i: number) =>
    fc.tuple(host, fc.array(fc.array(match, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 3 })).map(
      ([hostnames, rules]): Resource => ({
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata: { name: `r${i}` },
        spec: {
          ...(hostnames && { hostnames }),
          rules: rules.map((matches, j) => ({ matches, backendRefs: [{ name: `s${j}` }] })),
        },
      }),
    );
  fc.assert(
    fc.property(fc.tuple(resource(0), resource(1)), (resources) => {
      const told = checkSystem(resources)
        .filter(({ id }) => id === "route-never-matches")
        .map(({ place }) => place.field ?? "");
      let order = 0;
      const entries = resources.flatMap((one) => {
        if (one.kind !== "HTTPRoute") return [];
        const made = routeEntries(one, order);
        order += made.length;
        return made.map((entry, i) => ({ entry, one, i }));
      });
      const table = new RouteTable(entries.map(({ entry }) => entry));
      // One request for each entry and host that is like nothing else that is written, and all combinations of what is written.
      const hosts = ["a.example", "b.test", "x.example", "other.test"];
      const paths = ["/", "/a", "/a/", "/a/b", "/b", "/a/z", "/z", "/a/b/z", "/b/z"].flatMap((path) => [
        path,
        `${path}?q=1`,
      ]);
      const fieldSets = [[], ["x", "1"], ["x", "1", "y", "2"]];
      const found = new Set<unknown>();
      for (const authority of hosts)
        for (const path of paths)
          for (const method of ["GET", "POST", "PUT"])
            for (const fields of fieldSets) found.add(table.find(http(method, path, fields, authority)));
      for (const { entry, one, i } of entries) {
        const paths =
          one.kind !== "HTTPRoute"
            ? []
            : one.spec.rules.flatMap(({ matches }, r) => (matches ?? []).map((_, m) => `rules[${r}].matches[${m}]`));
        const isTold = told.includes(`${one.kind} ${one.metadata.name} spec.${paths[i]}`);
        assert.equal(found.has(entry), !isTold, `${one.metadata.name} ${paths[i]}`);
      }
    }),
    { numRuns: 60 },
  );
});

test("two policies that write one field of one target differently conflict; equal values and other fields do not", () => {
  const policies = [
    ...traffic("payments").timeout("1s").retry(2).named("a").resources(),
    ...traffic("payments").timeout("2s").retry(2).named("b").resources(),
    ...traffic("orders").timeout("3s").named("c").resources(),
  ];
  const findings = checkSystem(policies);
  assert.deepEqual(
    findings.map(({ id, place, message }) => [id, place.field, message]),
    [
      [
        "policy-conflict",
        "TrafficPolicy b spec.timeout",
        "timeout of Service payments is also written by TrafficPolicy a, which wins as the first by name",
      ],
    ],
  );
});

test("rules of authorizations that cannot change a decision are told: denied ones, and those that another makes needless", () => {
  const resources = [
    ...authorization("orders")
      .deny({ name: "no-interns", peers: ["spiffe://shop/intern*"] })
      .allow({ name: "intern-7", peers: ["spiffe://shop/intern-7"], methods: ["GET"] })
      .allow({ name: "readers", methods: ["GET"] })
      .allow({ name: "web", peers: ["spiffe://shop/web"], methods: ["GET"] })
      .allow({ name: "writers", peers: ["spiffe://shop/web"], methods: ["POST"] })
      .resources(),
    ...authorization("payments")
      .allow({ name: "web", peers: ["spiffe://shop/intern-7"] })
      .resources(),
  ];
  const findings = checkSystem(resources);
  assert.deepEqual(
    findings.map(({ id, place, message }) => [id, place.field, message.split(": ", 2)[1]]),
    [
      [
        "authorization-shadowed",
        "Authorization orders spec.rules[1]",
        "Authorization orders, rule no-interns denies every such call, and deny wins",
      ],
      [
        "authorization-shadowed",
        "Authorization orders spec.rules[3]",
        "Authorization orders, rule readers does the same for every such call",
      ],
    ],
  );
});

test("time-outs that do not fit together are told where they are written", () => {
  const text = `apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: payments }
spec:
  targetRefs: [{ kind: Service, name: payments }]
  timeout: 2s
  perTryTimeout: 1s
  retry: { attempts: 2 }
---
apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: orders }
spec:
  targetRefs: [{ kind: Service, name: orders }]
  timeout: 1s
  perTryTimeout: 3s
  hedge: { after: 2s }
`;
  const needs = new Map([["orders", ["payments"]]]);
  const messages = shown(check(text, { services: ["orders", "payments"], needs })).filter((line) =>
    line.includes("deadline"),
  );
  assert.equal(messages.length, 4, messages.join("\n"));
  assert.match(messages[0], /^7:18 .*3 attempts at payments of 1000 ms each .* 2 s|3 attempts at payments/);
  assert.match(messages[1], /^15:12 .*callers give orders 1 s, and orders gives payments 2 s/);
  assert.match(messages[2], /^16:18 .*perTryTimeout never acts/);
  assert.match(messages[3], /^17:10 .*a hedge of orders begins after 2 s/);
});

test("retries multiply along the call graph: both figures, and a warning when they are too much", () => {
  const needs = new Map([
    ["a", ["b"]],
    ["b", ["c"]],
    ["c", ["d"]],
  ]);
  const services = ["a", "b", "c", "d"];
  const placeOfNeeds = () => ({ file: "weft.config.ts", line: 3 });
  const system = {
    resources: [],
    placeOf: () => ({}),
    services,
    versions: new Map(),
    needs,
    placeOfNeeds,
    listeners: null,
    dataPlane: null,
    strict: false,
  };
  const [worst] = amplifications(system);
  assert.deepEqual(worst.path, ["gateway", "a", "b", "c", "d"]);
  assert.equal(worst.attempts, 81);
  assert.ok(Math.abs(worst.bounded - 1.2 ** 4) < 1e-9);
  const findings = checkSystem([], { services, needs, placeOfNeeds });
  assert.deepEqual(
    findings.map(({ id, severity }) => [id, severity]),
    [
      ["retry-amplification", "warning"],
      ["call-graph", "note"],
    ],
  );
  const once = checkSystem(traffic("d").retry(0).resources(), { services, needs, placeOfNeeds });
  assert.deepEqual(
    once.map(({ id }) => id),
    ["call-graph"],
  );
});

test("what a data plane does not enforce is told with what to use instead", () => {
  const resources = [
    ...traffic("payments").timeout("1s", "200ms").breaker().fallback({ status: "accepted" }).resources(),
    ...route("/a").to("payments").resources(),
  ];
  const fields = (dataPlane: CheckOptions["dataPlane"]) =>
    checkSystem(resources, { dataPlane })
      .filter(({ id }) => id === "not-enforced")
      .map(({ message }) => message.split(" ", 1)[0]);
  assert.deepEqual(fields(null), []);
  assert.deepEqual(fields("gateway"), []);
  assert.deepEqual(fields("envoy").sort(), ["TrafficPolicy.breaker", "TrafficPolicy.fallback"]);
  assert.deepEqual(fields("grpc-xds").sort(), [
    "HTTPRoute",
    "TrafficPolicy.breaker",
    "TrafficPolicy.fallback",
    "TrafficPolicy.perTryTimeout",
  ]);
  assert.deepEqual(fields("server").sort(), [
    "HTTPRoute",
    "TrafficPolicy.breaker",
    "TrafficPolicy.fallback",
    "TrafficPolicy.perTryTimeout",
    "TrafficPolicy.timeout",
  ]);
});

test("resources that are not well formed are told, and the others are checked all the same", () => {
  const findings = check(
    `kind: HTTPRout
---
${httpRoute("a", "    - backendRefs: [{ name: prodcts }]\n    - backendRefs: [{ name: products }]\n")}`,
    { services: ["products"] },
  );
  assert.deepEqual(
    findings.map(({ id }) => id),
    ["invalid-resource", "doubtful-resource", "route-never-matches"],
  );
  assert.equal(findings[1].suggestion, 'did you mean "products"?');
});

test("findings as SARIF 2.1.0 have what the format requires", () => {
  const findings = check(
    `kind: HTTPRout\n---\n${httpRoute("a", "    - backendRefs: [{ name: a }]\n    - backendRefs: [{ name: b }]\n")}`,
  );
  const log = JSON.parse(JSON.stringify(sarif([...findings, { ...findings[0], place: {} }], "1.2.3")));
  assert.equal(log.version, "2.1.0");
  const [run] = log.runs;
  assert.equal(run.tool.driver.name, "weft check");
  assert.deepEqual(
    run.tool.driver.rules.map(({ id }: { id: string }) => id),
    Object.keys(FINDINGS),
  );
  assert.equal(run.results.length, 3);
  for (const { ruleId, ruleIndex, level, message, locations = [], relatedLocations = [] } of run.results) {
    assert.equal(run.tool.driver.rules[ruleIndex].id, ruleId);
    assert.ok(["note", "warning", "error"].includes(level));
    assert.ok(message.text.length > 0);
    for (const { physicalLocation } of [...locations, ...relatedLocations]) {
      assert.equal(physicalLocation.artifactLocation.uri, "p.yaml");
      assert.ok(physicalLocation.region.startLine >= 1 && physicalLocation.region.startColumn >= 1);
    }
  }
  assert.equal(run.results[2].locations, undefined);
  assert.equal(run.results[1].relatedLocations[0].id, 1);
});

test("services and versions that are named anywhere and not declared are told", () => {
  const resources = [
    ...route("/v1").to("products@v3").mirror("shadw", 10).resources(),
    ...traffic("products@v1").fallback({ service: "product" }).resources(),
    ...authorization("products")
      .allow({ services: ["prducts", "*"] })
      .resources(),
  ];
  const options = { services: ["products", "shadow"], versions: new Map([["products", ["v1", "v2"]]]) };
  const findings = checkSystem(resources, options);
  assert.deepEqual(
    findings.map(({ id, message, suggestion }) => [id, message, suggestion]),
    [
      ["doubtful-resource", "no service shadw is declared", 'did you mean "shadow"?'],
      ["doubtful-resource", "no service product is declared", 'did you mean "products"?'],
      ["doubtful-resource", "products has no version v3; it has v1, v2: nothing answers there", 'did you mean "v1"?'],
      ["doubtful-resource", "no service prducts is declared", 'did you mean "products"?'],
    ],
  );
});
