import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Effect } from "../call.ts";
import { type CacheTestCall, CacheWorld } from "./cache.case.ts";

const answers = [
  { fields: ["cache-control", "max-age=1"], body: "kept" },
  { fields: ["cache-control", "private"], body: "own" },
  { fields: ["cache-control", "max-age=1", "vary", "x-v"], body: "varies" },
  { status: 503, body: "failed" },
  { fails: true },
] as const;

const step = fc.oneof(
  fc.record({ kind: fc.constant("begin" as const), path: fc.constantFrom("/a", "/b"), v: fc.constantFrom("1", "2") }),
  fc.record({ kind: fc.constant("answer" as const), call: fc.nat(20), answer: fc.constantFrom(...answers) }),
  fc.record({ kind: fc.constant("half" as const), call: fc.nat(20) }),
  fc.record({ kind: fc.constantFrom("gone", "breaks"), call: fc.nat(20) }),
  fc.record({ kind: fc.constant("advance" as const), ms: fc.constantFrom(0, 10, 900, 2_500) }),
);

test("K3: whatever becomes of fetches, nobody waits longer than `collapse`, and no fetch is left behind", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60, size: "max" }), (steps) => {
      const cache = new CacheWorld({ collapse: "2s", staleIfError: "3s" });
      cache.get("/first"); // makes the store
      const calls: { call: CacheTestCall; begunAt: number; half: boolean }[] = [];
      const woken = new Set<CacheTestCall>();
      const settle = (): void => {
        // Shells tell a woken call soon after.
        for (const call of woken) {
          woken.delete(call);
          call.now = cache.now;
          call.call.woken(cache.now);
          call.drain().look();
        }
        for (const { call, begunAt } of calls) {
          if (call.call.ended || call.asked !== null) continue;
          assert.ok(cache.now - begunAt <= 2_000, `waits for ${cache.now - begunAt} ms`);
        }
        assert.ok(cache.store.fetches.size <= 2);
      };
      for (const each of steps) {
        if (each.kind === "begin") {
          const call = cache.begin(each.path, ["x-v", each.v]);
          call.call.waker = { wake: () => woken.add(call) };
          calls.push({ call, begunAt: cache.now, half: false });
        } else if (each.kind === "advance") {
          cache.now += each.ms;
          for (const { call } of calls) if (!call.call.ended) call.advance(cache.now - call.now).look();
        } else {
          const entry = calls[each.call % Math.max(1, calls.length)];
          if (entry === undefined || entry.call.call.ended) continue;
          const { call } = entry;
          call.now = cache.now;
          if (each.kind === "gone") {
            if (entry.half) call.call.store?.abort();
            call.call.downstreamGone(cache.now);
            call.drain();
          } else if (call.asked === null) continue;
          else if (each.kind === "answer" && !entry.half) call.play(each.answer);
          else if (each.kind === "half" && !entry.half) {
            entry.half = true;
            call.head(1, 200, ["cache-control", "max-age=1"], false);
            call.call.store?.data(new Uint8Array(10), 0, 10);
          } else if (each.kind === "breaks" && entry.half) {
            call.call.store?.abort();
            call.fail(1, "reset");
          }
        }
        settle();
      }
      for (const { call, half } of calls) {
        if (call.call.ended) continue;
        if (half) call.call.store?.abort();
        call.call.downstreamGone(cache.now);
        call.drain();
        assert.ok(call.count(Effect.end) === 1);
      }
      assert.equal(cache.store.fetches.size, 0);
    }),
    { numRuns: 300 },
  );
});
