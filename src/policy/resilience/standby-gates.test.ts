import assert from "node:assert/strict";
import { test } from "node:test";
import { authorization, rateLimit, traffic } from "../builders.ts";
import type { Resource } from "../resource/resources.ts";
import { parseResources } from "../resource/validate.ts";

const fallback = traffic("products").retry(0).fallback({ service: "standby" }).resources();
const warned = (...resources: (readonly Resource[])[]) =>
  parseResources([...fallback, ...resources.flat()]).warnings.map(({ place, message }) => `${place.field}: ${message}`);

test("gates that are attached to a stand-by service alone are warned of, with what to do", () => {
  const limit = rateLimit("standby").allow(5).resources();
  const rules = authorization("standby").allow({ peers: ["spiffe://shop/web"] });
  const [only, ...rest] = warned(limit, rules.resources());
  assert.deepEqual(rest, []);
  assert.match(
    only,
    /spec\.fallback\.service: calls that fall back to standby have passed the gates of what they were for: RateLimit standby, Authorization standby do not hold for them; attach it to that as well, or have the service enforce it/,
  );
  assert.deepEqual(warned(rateLimit("standby").allow(5).at("server").resources(), rules.at("server").resources()), []);
});

test("what holds for the service itself holds for its fallbacks", () => {
  const [limit] = rateLimit("standby").allow(5).resources();
  const at = (...names: string[]) =>
    [{ ...limit, spec: { ...limit.spec, targetRefs: names.map((name) => ({ kind: "Service", name })) } }] as Resource[];
  assert.deepEqual(warned(at("standby", "products")), []);
  assert.deepEqual(warned(rateLimit("*").allow(5).resources()), []);
  assert.deepEqual(warned(rateLimit("others").allow(5).resources()), []);
  assert.equal(warned(at("standby", "others")).length, 1);
});
