import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { anyCase, isValid } from "../conformance/equality/arbitrary.ts";
import { startBackends } from "../conformance/equality/backends.ts";
import { asEnforced } from "../conformance/equality/enforced.ts";
import { Harness } from "../conformance/equality/harness.ts";
import { LISTED } from "../conformance/equality/listed.ts";
import type { EqualityCase } from "../conformance/equality/model.ts";
import { openClient } from "../conformance/equality/places/client.ts";
import { openGateway } from "../conformance/equality/places/gateway.ts";
import { openInbound, openOutbound } from "../conformance/equality/places/sidecar.ts";
import { describeCase } from "../conformance/equality/report.ts";
import { shrink } from "../conformance/equality/shrink.ts";
import { checkSystem } from "../src/policy/check/check-system.ts";
import { DIVERGENCES } from "../src/policy/check/divergences.ts";
import { DATA_PLANES, notEnforced } from "../src/policy/check/enforcement.ts";

// A small round of `npm run conformance -- equality`, without Envoy.

test("generated systems are valid, and what a place does not enforce can be taken out of them", () => {
  fc.assert(
    fc.property(anyCase(), (made) => {
      assert.ok(isValid(made));
      // Hedges that are left have values that nothing comes of.
      for (const plane of DATA_PLANES)
        for (const resource of asEnforced(made.resources, [plane]) ?? [])
          assert.deepEqual(
            notEnforced(resource, plane).filter(({ field }) => !/\.hedge\.(after|ratio)$/.test(field)),
            [],
            plane,
          );
    }),
    { numRuns: 60 },
  );
});

test("typed client, sidecar and gateway do the same with the same calls", async (t) => {
  const backends = await startBackends();
  const reference = await openGateway(backends.endpoints, 7);
  const places = [
    openClient(backends.endpoints, 7),
    await openOutbound(backends.endpoints, 7),
    await openInbound(backends.endpoints, 7),
  ];
  t.after(async () => {
    for (const place of [reference, ...places]) await place.close();
    await backends.close();
  });
  const harness = new Harness(backends, reference, places);
  const quick = anyCase(["web", "rpc", "in"]).filter(({ requests }) => !JSON.stringify(requests).includes("hang"));
  for (const made of fc.sample(quick, { seed: 3, numRuns: 12 })) {
    const differences = await harness.unexplained(made, 2);
    assert.equal(differences.length, 0, describeCase(made, differences));
  }
});

test("what fails is made as small as it can be", async () => {
  const [made] = fc
    .sample(anyCase(["edge"]), { seed: 5, numRuns: 60 })
    .filter(({ resources, requests }) => resources.length > 2 && requests.length > 3);
  const fails = async ({ resources, requests }: EqualityCase) =>
    resources.some(({ kind }) => kind === "HTTPRoute") && requests.some(({ kind }) => kind === "http");
  const { resources, requests } = await shrink(made, fails, Number.POSITIVE_INFINITY);
  assert.equal(resources.length, 1);
  assert.equal(requests.length, 1);
  assert.equal((resources[0] as unknown as { spec: { rules: unknown[] } }).spec.rules.length, 1);
});

test("every listed divergence has an example, and stands in docs/equality.md", () => {
  const shown = DIVERGENCES.filter(({ together }) => together !== true);
  assert.deepEqual(shown.map(({ id }) => id).sort(), Object.keys(LISTED).sort());
  const page = readFileSync(new URL("../docs/equality.md", import.meta.url), "utf8");
  const rows = DIVERGENCES.map(
    ({ id, places, what, reason }) => `| \`${id}\` | ${places.join(", ")} | ${what} | ${reason} |`,
  );
  assert.deepEqual(page.match(/^\| `[\w-]+` \| (?:client|sidecar|server|envoy|grpc).*$/gm), rows);
  for (const { id, appliesTo } of shown) {
    const { example } = LISTED[id];
    assert.ok(isValid(example), id);
    if (appliesTo !== null) assert.ok(example.resources.some((resource) => appliesTo(resource).length > 0));
  }
});

test("weft check tells which listed divergences resources run into", () => {
  const { resources } = LISTED["envoy-redirects-grpc"].example;
  const told = (dataPlane: "envoy" | null) =>
    checkSystem(resources, { dataPlane }).filter(({ id }) => id === "differs-by-place");
  assert.match(
    told("envoy")
      .map(({ message }) => message)
      .join(),
    /UNKNOWN.*\(envoy-redirects-grpc\)/,
  );
  assert.deepEqual(told(null), []);
  const places = told("envoy").map(({ place }) => place.field);
  const nowhere = DIVERGENCES.filter(({ appliesTo, places: of }) => appliesTo === null && of.includes("envoy"));
  assert.equal(
    places.lastIndexOf("HTTPRoute one spec.rules[0]"),
    places.length - 1 - nowhere.length,
    "it points there",
  );
  assert.ok(
    places.slice(-nowhere.length).every((field) => field === undefined),
    "what concerns none in particular stands at the end, once",
  );
  assert.deepEqual([...new Set(told("envoy").map(({ severity }) => severity))], ["note"]);
});
