import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeEndpointEntry,
  decodeEndpointValue,
  type EndpointValue,
  encodeEndpointEntry,
  encodeEndpointValue,
  visibleOf,
} from "./endpoint-value.ts";
import { endpointOf } from "./registry.case.ts";

const value: EndpointValue = {
  endpoint: endpointOf("alpha", 1, { metadata: { a: "b" }, identity: "spiffe://shop/alpha" }),
  check: "healthy",
  owner: "o1",
  ttlMs: 3_000,
};

test("what is written is read again, a period without an end too", () => {
  assert.deepEqual(decodeEndpointValue(encodeEndpointValue(value)), value);
  const forever = { ...value, ttlMs: Number.POSITIVE_INFINITY };
  assert.deepEqual(decodeEndpointValue(encodeEndpointValue(forever)), forever);
});

test("an entry names its plane besides", () => {
  const entry = { ...value, plane: "p1" };
  assert.deepEqual(decodeEndpointEntry(encodeEndpointEntry(entry)), entry);
  assert.throws(() => decodeEndpointEntry(encodeEndpointValue(value)), /plane/);
  assert.throws(() => decodeEndpointEntry(encodeEndpointEntry({ ...entry, plane: "p".repeat(65) })), /plane/);
});

test("what nobody of ours would write is not read", () => {
  const part = JSON.parse(Buffer.from(encodeEndpointValue(value)).toString());
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
  ];
  for (const one of wrong)
    assert.throws(() => decodeEndpointValue(Buffer.from(JSON.stringify(one))), JSON.stringify(one));
  assert.throws(() => decodeEndpointValue(Buffer.from("{")));
  assert.throws(() => decodeEndpointValue(Buffer.alloc(100_000, 32)));
});

test("draining comes before what checks found, and that before the owner's word", () => {
  const seen = (owner: "healthy" | "unhealthy" | "draining", check: "healthy" | "unhealthy") =>
    visibleOf({ ...value, endpoint: { ...value.endpoint, health: owner }, check }).health;
  assert.equal(seen("healthy", "healthy"), "healthy");
  assert.equal(seen("healthy", "unhealthy"), "unhealthy");
  assert.equal(seen("unhealthy", "healthy"), "unhealthy");
  assert.equal(seen("draining", "unhealthy"), "draining");
});
