import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { seededRandom } from "../core/random.ts";
import { IdSource } from "../telemetry/trace.ts";
import { CallNames } from "./call-names.ts";

function named(calls: number, perSecond: number): number {
  const clock = new VirtualClock();
  const names = new CallNames(new IdSource(seededRandom(1)), clock);
  const seen = new Set<string>();
  for (let i = 0; i < calls; i++) {
    const id = names.next();
    if (id !== "") seen.add(id);
    clock.advance(1_000 / perSecond);
  }
  return seen.size;
}

test("every call has a name of its own, up to 1,000 a second", () => {
  assert.equal(named(5_000, 1), 5_000);
  assert.equal(named(5_000, 1_000), 5_000);
});

test("of more calls 1,000 a second have one, and 256 at once", () => {
  const count = named(100_000, 50_000);
  assert.ok(count >= 2_190 && count <= 2_256, `${count}`);
  assert.equal(named(5_000, 1e12), 256);
});
