import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SlidingCount } from "./sliding-count.ts";

test("W1: the sums are those of the calls in the window, to a sixtieth of its length", () => {
  const event = fc.tuple(fc.integer({ min: 0, max: 5_000 }), fc.boolean());
  fc.assert(
    fc.property(fc.constantFrom(60, 600, 6_000), fc.array(event, { maxLength: 200 }), (windowMs, events) => {
      const count = new SlidingCount(windowMs);
      const all: { at: number; bad: boolean }[] = [];
      let now = 0;
      for (const [later, bad] of events) {
        now += later;
        count.record(bad, now);
        all.push({ at: now, bad });
        const within = (ms: number) => all.filter(({ at }) => at > now - ms);
        const least = within(windowMs - windowMs / 60);
        const most = within(windowMs + windowMs / 60);
        assert.ok(count.calls >= least.length && count.calls <= most.length);
        const bads = (calls: typeof all) => calls.filter((call) => call.bad).length;
        assert.ok(count.bad >= bads(least) && count.bad <= bads(most));
      }
      count.advance(now + windowMs + windowMs / 60);
      assert.deepEqual([count.calls, count.bad], [0, 0]);
    }),
  );
});
