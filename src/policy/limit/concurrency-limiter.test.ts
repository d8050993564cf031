import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { CallState } from "../machine/call-state.ts";
import { ConcurrencyLimiter, Entry, type Lane, type Waiter } from "./concurrency-limiter.ts";

const CALL = {} as CallState;

test("L1, L2, L3: never above the limit, first come first served, and nothing is kept of keys without calls", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 4 }),
      fc.array(fc.tuple(fc.constantFrom("enter", "leave", "give up"), fc.constantFrom("a", "b", "c"), fc.nat()), {
        maxLength: 200,
      }),
      (max, maxQueue, steps) => {
        const limiter = new ConcurrencyLimiter(max, maxQueue, 10);
        const running = new Map<string, Lane[]>();
        const waiting = new Map<string, Waiter[]>();
        for (const [what, key, which] of steps) {
          const runs = running.get(key) ?? [];
          const waits = waiting.get(key) ?? [];
          if (what === "enter") {
            const lane = limiter.lane(key);
            const entry = limiter.enter(lane);
            if (entry === Entry.running) runs.push(lane);
            else if (entry === Entry.waiting) waits.push(limiter.wait(lane, CALL));
            else assert.ok(runs.length >= max && waits.length >= maxQueue);
          } else if (what === "leave" && runs.length > 0) {
            const next = limiter.leave(runs.pop() as Lane);
            assert.equal(next, waits.shift() ?? null);
            if (next !== null) runs.push(next.lane);
          } else if (what === "give up" && waits.length > 0) {
            limiter.giveUp(waits.splice(which % waits.length, 1)[0]);
          }
          running.set(key, runs);
          waiting.set(key, waits);
          assert.ok(runs.length <= max && waits.length <= maxQueue);
          assert.ok(waits.length === 0 || runs.length === max);
        }
        for (const [key, runs] of running) {
          const waits = waiting.get(key) ?? [];
          for (const waiter of waits) limiter.giveUp(waiter);
          for (const lane of runs) limiter.leave(lane);
        }
        assert.equal(limiter.keys, 0);
      },
    ),
  );
});

test("keys beyond the most that are kept count together", () => {
  const limiter = new ConcurrencyLimiter(2, 0, 3);
  const entries = Array.from({ length: 10 }, (_, i) => limiter.enter(limiter.lane(`key ${i}`)));
  assert.equal(entries.filter((entry) => entry === Entry.running).length, 3 + 2);
});
