import assert from "node:assert/strict";
import test from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { ANY } from "../settings/key-value.ts";
import { MemoryKeyValue } from "../settings/memory-key-value.ts";
import { ObservedStore } from "./observed-store.ts";

test("a store is away from when it was asked in vain until it answers", async () => {
  const clock = new VirtualClock();
  let answer: () => Promise<string | null> = async () => "1";
  const inner = new MemoryKeyValue();
  inner.put = () => answer();
  const store = new ObservedStore(inner, clock);
  const put = () => store.put("a", new Uint8Array(), ANY).catch(() => null);
  await put();
  assert.equal(store.awayMs, 0);
  answer = async () => {
    throw new WeftError("unavailable", "away");
  };
  await put();
  clock.advance(2_000);
  await put();
  assert.equal(store.awayMs, 2_000);
  answer = async () => {
    throw new WeftError("invalid_argument", "too large");
  };
  await put();
  clock.advance(500);
  assert.equal(store.awayMs, 2_500, "a refusal is no word of it");
  answer = async () => "2";
  await put();
  assert.equal(store.awayMs, 0);
  let go = () => {};
  answer = () => new Promise((resolve) => (go = () => resolve("3")));
  const hanging = put();
  clock.advance(900);
  assert.equal(store.awayMs, 0, "a moment is nothing");
  clock.advance(600);
  assert.equal(store.awayMs, 1_500);
  go();
  await hanging;
  assert.equal(store.awayMs, 0);
});
