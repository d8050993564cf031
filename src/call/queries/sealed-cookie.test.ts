import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CookieSealer } from "./sealed-cookie.ts";

const [ONE, TWO] = ["1".repeat(32), "2".repeat(32)];

test("what was sealed comes out again, and nothing else opens", () => {
  const sealer = new CookieSealer([ONE], "session");
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(), (value, at) => {
      const cookie = sealer.seal(value);
      assert.deepEqual(sealer.open(cookie), JSON.parse(JSON.stringify(value)));
      assert.match(cookie, /^[A-Za-z0-9_-]+$/);
      const place = at % cookie.length;
      const changed = cookie.slice(0, place) + (cookie[place] === "A" ? "B" : "A") + cookie.slice(place + 1);
      // The last character of base64 may hold bits that mean nothing.
      if (place < cookie.length - 1) assert.equal(sealer.open(changed), undefined);
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => assert.equal(sealer.open(text), undefined)));
});

test("keys change without logging anybody out, and purposes are kept apart", () => {
  const old = new CookieSealer([ONE], "session").seal({ a: 1 });
  assert.deepEqual(new CookieSealer([TWO, ONE], "session").open(old), { a: 1 });
  assert.equal(new CookieSealer([TWO], "session").open(old), undefined);
  assert.equal(new CookieSealer([ONE], "state").open(old), undefined);
  assert.notEqual(new CookieSealer([ONE], "session").seal({ a: 1 }), old);
});
