import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../builders.ts";
import { parseResources } from "../resource/validate.ts";

const parse = (target: string, limits: object) => parseResources(traffic(target).limits(limits).resources());

test("limits of connections are for services, since every call to an endpoint shares its connections", () => {
  const limits = { maxConnections: 10, maxPending: 5, maxStreams: 3 };
  for (const target of ["*", "products"]) parse(target, limits);
  assert.throws(
    () => parse("shop.v1.Products/Get", { maxPending: 5 }),
    /spec\.limits\.maxPending: holds for an endpoint's connections and not for the calls of one Method alone; write it in a policy for a service/,
  );
  assert.throws(
    () => parse("products@v1", limits),
    /maxConnections: .* write it in a policy for the service products, or/,
  );
  const [policy] = traffic("products").limits(limits).resources();
  const route = { ...policy, spec: { ...policy.spec, targetRefs: [{ kind: "HTTPRoute", name: "r" }] } };
  assert.throws(() => parseResources([route]), /the calls of one HTTPRoute alone/);
});

test("the other limits are for whatever a policy is for", () => {
  for (const target of ["shop.v1.Products/Get", "products@v1"])
    parse(target, { maxInFlight: 10, maxInFlightPerEndpoint: 3, maxRetries: 1 });
});
