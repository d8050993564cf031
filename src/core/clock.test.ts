import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "./clock.ts";
import { seededRandom } from "./random.ts";

test("a virtual clock fires in order of due time, then of scheduling, and can be cancelled", () => {
  const clock = new VirtualClock(1_000);
  const seen: string[] = [];
  clock.after(20, () => seen.push(`b${clock.now()}`));
  clock.after(10, () => {
    seen.push(`a${clock.now()}`);
    clock.after(10, () => seen.push(`d${clock.now()}`));
  });
  clock.after(20, () => seen.push(`c${clock.now()}`));
  clock.after(15, () => seen.push("never"))();
  clock.advance(30);
  assert.deepEqual(seen, ["a10", "b20", "c20", "d20"]);
  assert.equal(clock.now(), 30);
  assert.equal(clock.wallMs(), 1_030);
});

test("a seed gives the same numbers, in [0, 1)", () => {
  const a = seededRandom(7);
  const b = seededRandom(7);
  let sum = 0;
  for (let i = 0; i < 1_000; i++) {
    const x = a.next();
    assert.equal(x, b.next());
    assert.ok(x >= 0 && x < 1);
    sum += x;
  }
  assert.ok(Math.abs(sum / 1_000 - 0.5) < 0.05);
});
