import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseCacheControl } from "./cache-control.ts";
import { CacheStore } from "./cache-store.ts";
import { CacheWriter } from "./cache-writer.ts";
import { formatHttpDate, parseHttpDate } from "./http-date.ts";
import { headBytes, type StoredHead } from "./stored-response.ts";

function head(uri: string, fields: readonly string[] = []): StoredHead {
  const freshness = { initialAgeMs: 0, lifetimeMs: 1_000, dateMs: 0 };
  const directives = parseCacheControl([]);
  return { uri, scope: "", vary: [], varyValues: [], status: 200, fields, directives, freshness, receivedAt: 0 };
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant("begin" as const),
    uri: fc.integer({ min: 0, max: 20 }),
    declared: fc.constantFrom(-1, 5_000),
  }),
  fc.record({ kind: fc.constant("data" as const), at: fc.nat(7), bytes: fc.integer({ min: 0, max: 9_000 }) }),
  fc.record({ kind: fc.constantFrom("end", "abort"), at: fc.nat(7) }),
  fc.record({ kind: fc.constant("invalidate" as const), uri: fc.integer({ min: 0, max: 20 }) }),
  fc.record({ kind: fc.constant("limit" as const), bytes: fc.integer({ min: 20_000, max: 60_000 }) }),
);

test("S1, S2: the store never holds more than its bytes, and counts what it holds, whatever comes in and goes", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const store = new CacheStore(40_000);
      const writers: CacheWriter[] = [];
      for (const each of steps) {
        if (each.kind === "begin") {
          writers.push(
            new CacheWriter(
              store,
              head(`http://shop/${each.uri}`, ["x", "y".repeat(each.uri * 50)]),
              15_000,
              null,
              each.declared,
            ),
          );
        } else if (each.kind === "data") writers[each.at]?.data(new Uint8Array(each.bytes), 0, each.bytes);
        else if (each.kind === "invalidate") store.invalidate(`http://shop/${each.uri}`);
        else if (each.kind === "limit") store.setMaxBytes(each.bytes);
        else {
          const [writer] = writers.splice(each.at, 1);
          if (each.kind === "end") writer?.end();
          else writer?.abort();
        }
        assert.ok(
          store.bytes >= 0 && (store.bytes <= store.maxBytes || each.kind === "limit"),
          `${store.bytes} of ${store.maxBytes}`,
        );
      }
      for (const writer of writers) writer.abort();
      for (let uri = 0; uri <= 20; uri++) store.invalidate(`http://shop/${uri}`);
      assert.deepEqual([store.bytes, store.entries], [0, 0]);
    }),
    { numRuns: 300 },
  );
});

test("SIEVE keeps what is asked for again, and lets one-hit wonders go", () => {
  const one = headBytes(head("http://shop/000")) + 100;
  const store = new CacheStore(10 * one);
  const put = (uri: string) => {
    const writer = new CacheWriter(store, head(uri), 10_000, null, -1);
    writer.data(new Uint8Array(100), 0, 100);
    writer.end();
  };
  const nobody = {} as never;
  for (let i = 0; i < 5; i++) put(`http://shop/h${i}0`);
  for (let i = 0; i < 200; i++) {
    for (let hot = 0; hot < 5; hot++) store.find(`http://shop/h${hot}0`, "", nobody);
    put(`http://shop/${String(i).padStart(3, "0")}`);
  }
  for (let hot = 0; hot < 5; hot++) assert.notEqual(store.find(`http://shop/h${hot}0`, "", nobody), null);
  assert.equal(store.entries, 10);
});

test("S3: bodies that stay on their way leave half of the store to what is in it", () => {
  const store = new CacheStore(100_000);
  const put = (uri: string) => {
    const writer = new CacheWriter(store, head(uri), 90_000, null, -1);
    writer.data(new Uint8Array(4_000), 0, 4_000);
    return writer;
  };
  for (let i = 0; i < 8; i++) put(`http://shop/kept/${i}`).end();
  assert.equal(store.entries, 8);
  const slow = Array.from({ length: 100 }, (_, i) => put(`http://shop/slow/${i}`));
  assert.equal(store.entries, 8);
  assert.ok(store.arriving <= 50_000, `${store.arriving}`);
  for (const writer of slow) writer.abort();
  assert.equal(store.arriving, 0);
  const large = new CacheWriter(store, head("http://shop/large"), 90_000, null, -1);
  large.data(new Uint8Array(80_000), 0, 80_000);
  large.end();
  assert.notEqual(store.find("http://shop/large", "", {} as never), null, "one alone may take more");
  assert.equal(store.arriving, 0);
});

test("a body that is not as long as it said is not kept", () => {
  const store = new CacheStore(100_000);
  const writer = new CacheWriter(store, head("http://shop/a"), 10_000, null, 10);
  writer.data(new Uint8Array(9), 0, 9);
  writer.end();
  assert.deepEqual([store.entries, store.bytes], [0, 0]);
});

test("HTTP dates come back as they went, in each of their three forms; nothing else is one", () => {
  fc.assert(
    fc.property(fc.integer({ min: Date.UTC(1990, 0, 1), max: Date.UTC(2035, 0, 1) }), (ms) => {
      const at = Math.floor(ms / 1000) * 1000;
      assert.equal(parseHttpDate(formatHttpDate(at), at), at);
    }),
  );
  const now = Date.UTC(2024, 0, 1);
  assert.equal(parseHttpDate("Sunday, 06-Nov-94 08:49:37 GMT", now), Date.UTC(1994, 10, 6, 8, 49, 37));
  assert.equal(parseHttpDate("Sun Nov  6 08:49:37 1994", now), Date.UTC(1994, 10, 6, 8, 49, 37));
  for (const text of [
    "0",
    "",
    "Sun, 06 Nov 1994 08:49:37 PST",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:49:37 GMT",
    "1994-11-06",
  ]) {
    assert.equal(parseHttpDate(text, now), undefined, text);
  }
});

test("Cache-Control of any text is read without an error, in time", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("a", "=", '"', ",", " ", "\\", "max-age", "1", "no-store") }),
      (text) => {
        parseCacheControl(["cache-control", text]);
      },
    ),
  );
  const begun = process.cpuUsage();
  for (const part of ['="', ",", 'a="', "a=,", "\\", " ,"]) parseCacheControl(["cache-control", part.repeat(50_000)]);
  assert.ok(process.cpuUsage(begun).user < 500_000);
});
