import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Nonces } from "./nonces.ts";
import { VerifiedCache } from "./verified-cache.ts";

test("gives what was put until it expires, and never keeps more than its bound", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 50 }), fc.boolean()), {
        maxLength: 300,
      }),
      (steps) => {
        const cache = new VerifiedCache<number>(10);
        const until = new Map<string, number>();
        let now = 0;
        for (const [key, ms, put] of steps) {
          now++;
          const name = String(key);
          if (put) {
            cache.set(name, key, now + ms);
            until.set(name, now + ms);
          }
          const found = cache.get(name, now);
          if (put) assert.equal(found, key);
          if (found !== null) assert.ok((until.get(name) ?? 0) > now);
          assert.ok(cache.size <= 10);
        }
      },
    ),
  );
});

test("what is used stays, what is not gives way", () => {
  const cache = new VerifiedCache<number>(4);
  cache.set("used", 1, 1_000);
  for (let i = 0; i < 50; i++) {
    cache.set(`once ${i}`, i, 1_000);
    assert.equal(cache.get("used", 1), 1);
  }
});

test("a nonce is good once while it is remembered; when there is no room further ones are refused", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 20 })), { maxLength: 200 }),
      (steps) => {
        const nonces = new Nonces(8);
        const used = new Map<number, number>();
        let now = 0;
        for (const [nonce, wait] of steps) {
          now += wait;
          const state = nonces.use(String(nonce), now + 40, now);
          if (state === Nonces.fresh) {
            assert.ok((used.get(nonce) ?? 0) <= now);
            used.set(nonce, now + 40);
          }
          assert.ok(nonces.size <= 8);
        }
      },
    ),
  );
});
