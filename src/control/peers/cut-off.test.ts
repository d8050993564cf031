import assert from "node:assert/strict";
import test from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { CutOff } from "./cut-off.ts";

test("only who does not reach what another one reaches is cut off, until it is reached again", async () => {
  const clock = new VirtualClock();
  const state = { reaches: true, others: true };
  const changes: boolean[] = [];
  const cutOff = new CutOff({
    clock,
    reach: () => (state.reaches ? Promise.resolve() : new Promise(() => {})), // nothing is ever heard
    othersReach: async () => state.others,
    onChange: (is) => changes.push(is),
  });
  cutOff.start();
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 250) {
      clock.advance(250);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  };
  await pass(5_000);
  state.reaches = false;
  await pass(4_000);
  assert.deepEqual(changes, [], "not at once");
  await pass(4_000);
  assert.deepEqual(changes, [true]);
  state.others = false;
  await pass(10_000);
  assert.deepEqual(changes, [true], "what others say later does not call processes back to where nothing is reached");
  state.reaches = true;
  await pass(2_500);
  assert.deepEqual(changes, [true, false]);
  state.reaches = false;
  await pass(20_000);
  assert.deepEqual(changes, [true, false], "nobody reaches it");
  cutOff.close();
});

test("who is slow, or reaches it again a moment after another one, is not cut off", async () => {
  const clock = new VirtualClock();
  let reachMs = 1_500;
  const changes: boolean[] = [];
  const cutOff = new CutOff({
    clock,
    reach: () => new Promise((resolve) => void (reachMs > 0 && clock.after(reachMs, resolve))),
    othersReach: async () => {
      reachMs = 500;
      return true;
    },
    onChange: (is) => changes.push(is),
  });
  cutOff.start();
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 250) {
      clock.advance(250);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  };
  await pass(20_000);
  assert.equal(reachMs, 1_500, "nobody else is asked");
  reachMs = 0;
  await pass(20_000);
  assert.deepEqual([reachMs, changes], [500, []]);
  cutOff.close();
});

test("who is cut off finds soon that it no longer is", async () => {
  const clock = new VirtualClock();
  let reaches = true;
  let changedAt = -1;
  const cutOff = new CutOff({
    clock,
    reach: () => (reaches ? Promise.resolve() : Promise.reject(new Error("refused"))),
    othersReach: async () => true,
    onChange: () => (changedAt = clock.now()),
  });
  cutOff.start();
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 50) {
      clock.advance(50);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  };
  reaches = false;
  await pass(10_000);
  assert.ok(changedAt > 0);
  reaches = true;
  const backAt = clock.now();
  await pass(2_000);
  assert.ok(changedAt >= backAt && changedAt - backAt <= 300, `after ${changedAt - backAt} ms`);
  cutOff.close();
});
