import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../builders.ts";
import { parseResources } from "../resource/validate.ts";
import { balancerField } from "./balancer-field.ts";
import type { HashKeySpec } from "./balancer-spec.ts";

function problem(balancer: object): string {
  const resource = {
    apiVersion: "weftmesh.dev/v1",
    kind: "TrafficPolicy",
    metadata: { name: "p" },
    spec: { balancer },
  };
  try {
    parseResources([resource]);
    return "";
  } catch (thrown) {
    return (thrown as Error).message;
  }
}

test("what does not go together is refused, with what to write instead", () => {
  const hash = [{ by: "header", name: "x-user" }];
  const cases: [object, RegExp][] = [
    [{ kind: "least-requests" }, /did you mean least-request|"least-request"/],
    [{ kind: "maglev", hash, tableSize: 65_536 }, /must be a prime number, is 65536; the next one is 65537/],
    [{ kind: "ring-hash" }, /"hash" is missing: what are calls' places made of\?/],
    [{ kind: "p2c", hash }, /hash.*is for ring-hash and maglev; p2c does not look at it/],
    [{ kind: "maglev", hash, slowStart: { window: "1s" } }, /needs a kind that goes by weights; maglev does not/],
    [{ kind: "ring-hash", hash: [{ by: "header" }] }, /"name" is missing: which header\?/],
    [{ kind: "ring-hash", hash: [{ by: "address", name: "x" }] }, /is not for address; leave it out/],
    [{ kind: "ring-hash", hash: [{ by: "header", name: "x", ttl: "1s" }] }, /is for cookies only/],
    [{ kind: "ring-hash", hash: [{ by: "message", name: "a..b" }] }, /must be the path of a field/],
    [{ kind: "ring-hash", hash, boundedLoad: 1 }, /from 1\.01 to 100/],
    [{ kind: "ring-hash", hash, ring: { minSize: 10, maxSize: 5 } }, /minSize 10 is larger than maxSize 5/],
    [{ zones: { routing: "aware", order: ["a"] } }, /is for routing "failover" only/],
    [{ subset: { match: {} } }, /at least one entry/],
    [{ subset: { match: { a: "b" }, fallback: "default" } }, /"default" is missing/],
    [{ subset: { match: { a: "b" }, default: { a: "c" } } }, /has no effect without fallback "default"/],
    [{ panicThreshold: 50 }, /from 0 to 1/],
  ];
  for (const [balancer, message] of cases) assert.match(problem(balancer), message);
});

test("a policy that hashes by message alone is warned of: not every place reads messages", () => {
  const message = { by: "message", name: "user.id" } as const;
  const warningsOf = (hash: readonly HashKeySpec[]): number =>
    parseResources(traffic("a").balancer("ring-hash", { hash }).resources()).warnings.length;
  assert.equal(warningsOf([message]), 1);
  assert.equal(warningsOf([message, { by: "address" }]), 0);
});

test("builders make what is valid", () => {
  const policies = [
    traffic("a").balancer("by-load", { load: { utilization: "memory" }, slowStart: { window: "30s" } }),
    traffic("b").balancer("maglev", {
      tableSize: 251,
      boundedLoad: 1.25,
      hash: [{ by: "cookie", name: "c", ttl: "1h" }],
    }),
    traffic("c")
      .balancer("p2c", { decay: 5_000 })
      .balance({ zones: { routing: "aware" }, subsetSize: 20 }),
  ];
  const { resources } = parseResources(policies.flatMap((policy) => [...policy.resources()]));
  assert.deepEqual((resources[2].spec as { balancer: unknown }).balancer, {
    kind: "p2c",
    decay: "5s",
    zones: { routing: "aware" },
    subsetSize: 20,
  });
});

test("every field counts for itself, those of parts too; panic is on by default where priorities are", () => {
  const over = balancerField.over(
    { kind: "p2c", zones: { routing: "failover" }, slowStart: { window: "10s" } },
    { zones: { order: ["b"] }, overprovisioning: 2 },
  );
  const settings = balancerField.compile(over);
  assert.deepEqual(
    [settings.kind, settings.zones, settings.zoneOrder, settings.slowStartMs],
    ["p2c", "failover", ["b"], 10_000],
  );
  assert.deepEqual([settings.overprovisioning, settings.panicThreshold], [2, 0.5]);
  const plain = balancerField.compile(null);
  assert.deepEqual([plain.kind, plain.panicThreshold, plain.placed, plain.wantsReports], ["p2c", 0, false, false]);
});
