import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ThrottledBody } from "./throttled-body.ts";

test("T1: no window gets more than its share, and every byte goes on once, in order", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 0, max: 120 })), { maxLength: 60 }),
      (bytesPerSecond, steps) => {
        const body = new ThrottledBody(bytesPerSecond, 0);
        let now = 0;
        let sent = 0;
        let next = 0;
        const gone: { at: number; bytes: number }[] = [];
        for (const [bytes, ms] of steps) {
          const chunk = Uint8Array.from({ length: bytes }, (_, i) => (sent + i) & 255);
          body.add(chunk, 0, bytes, false);
          sent += bytes;
          now += ms;
          for (let piece = body.take(now); piece !== null; piece = body.take(now)) {
            for (const byte of piece) assert.equal(byte, next++ & 255);
            gone.push({ at: now, bytes: piece.length });
          }
        }
        assert.ok(next <= sent);
        assert.equal(body.empty, next === sent);
        for (let from = 0; from < gone.length; from++) {
          let total = 0;
          for (let to = from; to < gone.length; to++) {
            total += gone[to].bytes;
            const most = (bytesPerSecond * (gone[to].at - gone[from].at + 100)) / 1000 + 2;
            assert.ok(total <= most, `${total} in ${gone[to].at - gone[from].at} ms at ${bytesPerSecond}/s`);
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("slices that are a little late keep the rate", () => {
  const body = new ThrottledBody(100_000, 0);
  body.add(new Uint8Array(100_000), 0, 100_000, true);
  let now = 0;
  while (!body.empty) {
    while (body.take(now) !== null);
    if (!body.empty) now += 57;
  }
  assert.ok(now >= 900 && now <= 1_060, `${now} ms`);
});
