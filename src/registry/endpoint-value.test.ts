import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeEndpointEntry, type EndpointEntry, encodeEndpointEntry, visibleOf } from "./endpoint-value.ts";
import { endpointOf } from "./registry.case.ts";

const entry: EndpointEntry = {
  endpoint: endpointOf("alpha", 1, { metadata: { a: "b" }, identity: "spiffe://shop/alpha" }),
  check: "healthy",
  owner: "o1",
  ttlMs: 3_000,
  plane: "p1",
};

test("what is written is read again, a period without an end too", () => {
  assert.deepEqual(decodeEndpointEntry(encodeEndpointEntry(entry)), entry);
  const forever = { ...entry, ttlMs: Number.POSITIVE_INFINITY };
  assert.deepEqual(decodeEndpointEntry(encodeEndpointEntry(forever)), forever);
});

test("what nobody of ours would write is not read", () => {
  const part = JSON.parse(Buffer.from(encodeEndpointEntry(entry)).toString());
  const wrong: unknown[] = [
    null,
    1,
    {},
    { ...part, endpoint: { ...part.endpoint, port: 0 } },
    { ...part, endpoint: { ...part.endpoint, identity: 1 } },
    { ...part, check: "well" },
    { ...part, owner: 7 },
    { ...part, ttlMs: -1 },
    { ...part, ttlMs: "3000" },
    { ...part, plane: undefined },
    { ...part, plane: "p".repeat(65) },
  ];
  for (const one of wrong)
    assert.throws(() => decodeEndpointEntry(Buffer.from(JSON.stringify(one))), JSON.stringify(one));
  assert.throws(() => decodeEndpointEntry(Buffer.from("{")));
  assert.throws(() => decodeEndpointEntry(Buffer.alloc(100_000, 32)));
});

test("draining comes before what checks found, and that before the owner's word", () => {
  const seen = (owner: "healthy" | "unhealthy" | "draining", check: "healthy" | "unhealthy") =>
    visibleOf({ ...entry, endpoint: { ...entry.endpoint, health: owner }, check }).health;
  assert.equal(seen("healthy", "healthy"), "healthy");
  assert.equal(seen("healthy", "unhealthy"), "unhealthy");
  assert.equal(seen("unhealthy", "healthy"), "unhealthy");
  assert.equal(seen("draining", "unhealthy"), "draining");
});
