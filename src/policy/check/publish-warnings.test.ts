import assert from "node:assert/strict";
import { test } from "node:test";
import { authorization, rateLimit, traffic } from "../builders.ts";
import type { Resource, TrafficPolicy } from "../resource/resources.ts";
import { parseResources } from "../resource/validate.ts";
import { type DataPlane, notEnforced } from "./enforcement.ts";
import { publishWarnings } from "./publish-warnings.ts";

const said = (resources: readonly Resource[], ...planes: DataPlane[]) =>
  publishWarnings(parseResources(resources), planes).told.map(({ place, message }) => `${place.field}: ${message}`);

test("what some data plane enforces is nothing to warn of, what none does is, once, with what to use instead", () => {
  const limit = rateLimit("orders").allow(5).resources();
  assert.deepEqual(said(limit, "gateway", "client", "server"), []);
  assert.deepEqual(said(limit, "client", "server"), [
    'RateLimit orders spec.enforcedBy: RateLimit.enforcedBy is enforced by nothing that is there (client, server): a caller enforces its own quota alone; use enforcedBy: "client"',
  ]);
  assert.equal(
    said(
      authorization("orders")
        .allow({ peers: ["a"] })
        .resources(),
      "client",
    ).length,
    1,
  );
});

test("a field that one plane leaves out with its whole resource and another by itself is told at its outermost", () => {
  const resource = traffic("orders").timeout("1s").hedge("p95").resources();
  const [only, ...rest] = said(resource, "server", "grpc-xds").filter((line) => line.includes("hedge"));
  assert.match(only, /TrafficPolicy\.hedge is enforced by nothing that is there/);
  assert.deepEqual(rest, []);
});

test("where nothing is there, nothing is said", () => {
  const [limit] = rateLimit("orders").allow(5).resources();
  assert.ok(notEnforced(limit, "client").length > 0);
  assert.deepEqual(said([limit]), []);
});

test("every field that a data plane leaves out which is not weft's own is told, though others enforce it", () => {
  const resource = traffic("orders").timeout("1s").hedge("p95").resources();
  assert.deepEqual(said(resource, "gateway", "client"), []);
  const told = said(resource, "gateway", "envoy", "grpc-xds");
  assert.ok(
    told.some((line) => /TrafficPolicy\.hedge.* is not enforced by gRPC's own client, which is there: /.test(line)),
  );
  const envoy = notEnforced(resource[0], "envoy").map(({ field }) => field);
  for (const field of envoy)
    assert.ok(
      told.some((line) => line.includes(`${field} is not enforced by Envoy`)),
      field,
    );
});

test("of very many some are told, and the others counted", () => {
  const resources = ["a", "b", "c"].flatMap((name) => rateLimit(name).allow(5).resources());
  const { told, more } = publishWarnings(parseResources(resources), ["client"], 2);
  assert.deepEqual([told.length, more], [2, 1]);
});

test("of a hedge Envoy leaves out what goes by time, the default, too, and the whole where it hears nothing of time-outs", () => {
  const fields = (spec: object): string[] => {
    const policy = traffic("orders").timeout("1s", "100ms").resources()[0] as TrafficPolicy;
    return notEnforced({ ...policy, spec: { ...policy.spec, hedge: spec } }, "envoy").map(({ field }) => field);
  };
  assert.deepEqual(fields({ max: 2 }), ["TrafficPolicy.hedge"]);
  assert.deepEqual(fields({ onTryTimeout: true }), ["TrafficPolicy.hedge.after"]);
  assert.deepEqual(fields({ onTryTimeout: true, after: "30ms", max: 2 }), [
    "TrafficPolicy.hedge.after",
    "TrafficPolicy.hedge.max",
  ]);
});
