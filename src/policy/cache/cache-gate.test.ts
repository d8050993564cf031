import assert from "node:assert/strict";
import { test } from "node:test";
import { Effect } from "../call.ts";
import { grpc, http, TestCall, world } from "../machine/call.case.ts";
import { traffic } from "../resource/traffic-builder.ts";
import { parseResources } from "../resource/validate.ts";
import { CacheWorld, date, type Played } from "./cache.case.ts";

/** Names of cases are those of the suite http-tests/cache-tests, where it has them. */

const value = (fields: readonly string[], name: string) => fields[fields.indexOf(name) + 1];
const has = (fields: readonly string[] | null, name: string) => (fields ?? []).includes(name);

function reused(response: Played, later = 0, second: readonly string[] = [], first: readonly string[] = []): boolean {
  const cache = new CacheWorld();
  cache.get("/a", { body: "one", ...response }, first);
  cache.pass(later);
  return cache.get("/a", { body: "two" }, second).body === "one";
}
const cc = (value: string): Played => ({ fields: ["cache-control", value] });

test("freshness: which responses are reused without asking again", () => {
  const cases: [name: string, response: Played, laterSeconds: number, reused: boolean][] = [
    ["freshness-none", {}, 0, false],
    ["freshness-max-age", cc("max-age=3600"), 3599, true],
    ["freshness-max-age-stale", cc("max-age=3600"), 3600, false],
    ["freshness-max-age-0", cc("max-age=0"), 0, false],
    ["freshness-max-age-quoted", cc('max-age="3600"'), 1, true],
    ["freshness-max-age-single-quoted", cc("max-age='3600'"), 0, false],
    ["freshness-max-age-case-insensitive", cc("MaX-aGe=3600"), 1, true],
    ["freshness-max-age-negative", cc("max-age=-3600"), 0, false],
    ["freshness-max-age-space-before-equals", cc("max-age =3600"), 0, false],
    ["freshness-max-age-ignore-quoted", cc('extension="max-age=3600", max-age=1'), 2, false],
    ["freshness-max-age-max", cc("max-age=99999999999"), 1_000_000, true],
    ["freshness-max-age-extension", cc('foobar="foo bar", max-age=3600'), 1, true],
    ["freshness-max-age-s-maxage-shared-longer", cc("max-age=3600, s-maxage=10000"), 5000, true],
    ["freshness-max-age-s-maxage-shared-shorter", cc("max-age=3600, s-maxage=1"), 2, false],
    ["freshness-max-age-age", { fields: ["cache-control", "max-age=3600", "age", "1800"] }, 1801, false],
    ["age-parse-nonnumeric", { fields: ["cache-control", "max-age=3600", "age", "7200a"] }, 1, true],
    ["age-parse-prefix", { fields: ["cache-control", "max-age=3600", "age", "7200, 0"] }, 1, false],
    ["freshness-expires-future", { fields: ["expires", date(3600), "date", date(0)] }, 1, true],
    ["freshness-expires-past", { fields: ["expires", date(-10), "date", date(0)] }, 0, false],
    ["freshness-expires-present", { fields: ["expires", date(0), "date", date(0)] }, 0, false],
    ["freshness-expires-old-date", { fields: ["expires", date(-3000), "date", date(-6000)] }, 0, false],
    ["freshness-expires-invalid", { fields: ["expires", "0", "date", date(0)] }, 0, false],
    ["freshness-expires-rfc850", { fields: ["expires", "Monday, 01-Jan-24 01:00:00 GMT"] }, 60, true],
    ["freshness-expires-ansi-c", { fields: ["expires", "Mon Jan  1 01:00:00 2024"] }, 60, true],
    ["freshness-max-age-expires", { fields: ["cache-control", "max-age=3600", "expires", date(-10)] }, 1, true],
    ["freshness-max-age-0-expires", { fields: ["cache-control", "max-age=0", "expires", date(3600)] }, 0, false],
    ["heuristic-200-cached", { fields: ["last-modified", date(-10_000)] }, 990, true],
    ["heuristic-200-over", { fields: ["last-modified", date(-10_000)] }, 1_001, false],
    ["heuristic-404-cached", { status: 404, fields: ["last-modified", date(-10_000)] }, 5, true],
    ["heuristic-201-not_cached", { status: 201, fields: ["last-modified", date(-10_000)] }, 5, false],
    [
      "heuristic-599-cached",
      { status: 599, fields: ["last-modified", date(-10_000), "cache-control", "public"] },
      5,
      true,
    ],
    ["cdn-max-age", { fields: ["cdn-cache-control", "max-age=3600", "cache-control", "max-age=1"] }, 10, true],
    ["cdn-no-store-cc-fresh", { fields: ["cdn-cache-control", "no-store", "cache-control", "max-age=3600"] }, 0, false],
    ["status-599-fresh", { status: 599, ...cc("max-age=3600") }, 1, true],
    ["status-206", { status: 206, ...cc("max-age=3600") }, 0, false],
  ];
  for (const [name, response, later, expected] of cases) assert.equal(reused(response, later), expected, name);
});

test("storing: what a shared cache may not keep", () => {
  const cases: [name: string, value: string, reused: boolean][] = [
    ["cc-resp-no-store", "no-store, max-age=3600", false],
    ["cc-resp-no-store-case-insensitive", "No-StOrE, max-age=3600", false],
    ["cc-resp-no-cache", "no-cache, max-age=3600", false],
    ["cc-resp-private-shared", "private, max-age=3600", false],
    ["cc-resp-must-revalidate-fresh", "max-age=3600, must-revalidate", true],
    ["must-understand, status understood", "max-age=3600, no-store, must-understand", true],
  ];
  for (const [name, control, expected] of cases) assert.equal(reused(cc(control), 0), expected, name);
  assert.equal(reused({ status: 599, ...cc("max-age=3600, must-understand") }), false);
  // Field names: the rest may be kept.
  const cache = new CacheWorld();
  const fields = ["cache-control", 'max-age=60, no-cache="x-a", private="X-B"', "x-a", "1", "x-b", "2", "x-c", "3"];
  cache.get("/a", { fields, body: "one" });
  const again = cache.get("/a", {});
  assert.deepEqual(
    [again.body, has(again.fields, "x-a"), has(again.fields, "x-b"), has(again.fields, "x-c")],
    ["one", false, false, true],
  );
});

test("authorization: shared only when the response says so, also for users that weft authenticated", () => {
  const own = ["authorization", "Bearer x"];
  for (const [control, shared] of [
    ["max-age=60", false],
    ["max-age=60, public", true],
    ["s-maxage=60", true],
    ["max-age=60, must-revalidate", true],
  ] as const) {
    assert.equal(reused(cc(control), 1, own, own), shared, control);
    assert.equal(reused(cc(control), 1, [], own), shared, control);
    assert.equal(reused(cc(control), 1, own, []), shared, control); // section 3.5 asks for less; nobody loses by it
  }
});

test("cookies are kept only where the response is for all", () => {
  assert.equal(reused({ fields: ["cache-control", "max-age=60", "set-cookie", "a=b"] }), false);
  assert.equal(reused({ fields: ["cache-control", "max-age=60, public", "set-cookie", "a=b"] }), true);
});

test("request directives are obeyed, or ignored where policy says so", () => {
  const fresh = cc("max-age=100");
  const cases: [name: string, value: string, later: number, reused: boolean][] = [
    ["ccreq-ma0", "max-age=0", 1, false],
    ["ccreq-ma1", "max-age=50", 60, false],
    ["ccreq-ma-ok", "max-age=50", 40, true],
    ["ccreq-magreaterage-min-fresh", "min-fresh=50", 60, false],
    ["ccreq-min-fresh", "min-fresh=50", 40, true],
    ["ccreq-max-stale", "max-stale=1000", 200, true],
    ["ccreq-max-stale-any", "max-stale", 100_000, true],
    ["ccreq-max-stale-over", "max-stale=10", 200, false],
    ["ccreq-no-cache", "no-cache", 1, false],
  ];
  for (const [name, control, later, expected] of cases)
    assert.equal(reused(fresh, later, ["cache-control", control]), expected, name);
  assert.equal(reused(fresh, 1, ["pragma", "no-cache"]), false);
  assert.equal(reused(fresh, 1, ["pragma", "no-cache", "cache-control", "max-age=60"]), true);
  assert.equal(reused(fresh, 1, [], ["cache-control", "no-store"]), false);
  assert.equal(reused(cc("max-age=1, must-revalidate"), 5, ["cache-control", "max-stale"]), false);
  const cache = new CacheWorld({ obeyCallers: false });
  cache.get("/a", { ...fresh, body: "one" });
  assert.equal(cache.get("/a", { body: "two" }, ["cache-control", "no-cache"]).body, "one");
  const only = new CacheWorld().get("/a", {}, ["cache-control", "only-if-cached"]);
  assert.deepEqual([only.status, only.reason, only.asked], [504, "NOT_CACHED", null]);
});

test("vary: a variant answers only the requests that it was chosen for", () => {
  const cache = new CacheWorld();
  const vary = (name: string): Played => ({ fields: ["cache-control", "max-age=100", "vary", name] });
  cache.get("/a", { ...vary("Accept-Language, x-v"), body: "de" }, ["accept-language", "de", "x-v", "1"]);
  assert.equal(
    cache.get("/a", { ...vary("accept-language, X-V"), body: "en" }, ["accept-language", "en", "x-v", "1"]).body,
    "en",
  );
  assert.equal(cache.get("/a", {}, ["accept-language", "DE", "x-v", "1"]).body, "de"); // normalised
  assert.equal(cache.get("/a", {}, ["accept-language", "en", "x-v", "1"]).body, "en");
  const other = cache.get("/a", { body: "?" }, ["accept-language", "de"]);
  assert.equal(other.body, "?");
  assert.match(value(other.fields, "cache-status"), /^weft; fwd=vary-miss/);
  cache.get("/s", { ...vary("*"), body: "one" });
  assert.equal(cache.get("/s", { body: "two" }).body, "two");
});

test("validation: a stale answer is asked about, and a 304 makes it as new", () => {
  const cache = new CacheWorld();
  const etag = ["cache-control", "max-age=10", "etag", '"a"', "last-modified", date(-100), "x-n", "1"];
  cache.get("/a", { fields: etag, body: "one" });
  cache.pass(20);
  const played = {
    status: 304,
    fields: ["cache-control", "max-age=50", "etag", '"a"', "x-n", "2", "content-type", "no"],
  };
  const again = cache.get("/a", played);
  assert.deepEqual(
    [value(again.asked ?? [], "if-none-match"), value(again.asked ?? [], "if-modified-since")],
    ['"a"', date(-100)],
  );
  assert.deepEqual(
    [again.status, again.body, value(again.fields, "x-n"), has(again.fields, "content-type")],
    [200, "one", "2", false],
  );
  assert.equal(value(again.fields, "cache-status"), "weft; fwd=stale; fwd-status=304");
  cache.pass(40);
  assert.equal(cache.get("/a", { body: "two" }).body, "one");
  // A full answer replaces it.
  cache.pass(20);
  assert.equal(cache.get("/a", { fields: etag, body: "two" }).body, "two");
  assert.equal(cache.get("/a", { body: "three" }).body, "two");
});

test("a caller's own conditions are answered from the cache, and do not reach the service in place of the cache's", () => {
  const cache = new CacheWorld();
  cache.get("/a", {
    fields: ["cache-control", "max-age=10", "etag", 'W/"a"', "last-modified", date(-100)],
    body: "one",
  });
  for (const [fields, status] of [
    [["if-none-match", '"a"'], 304],
    [["if-none-match", '"b", W/"a"'], 304],
    [["if-none-match", "*"], 304],
    [["if-none-match", '"b"'], 200],
    [["if-modified-since", date(-100)], 304],
    [["if-modified-since", date(-101)], 200],
    [["if-none-match", '"b"', "if-modified-since", date(0)], 200],
  ] as const) {
    assert.equal(cache.get("/a", {}, fields).status, status, fields.join());
  }
  cache.pass(20);
  const stale = cache.get("/a", { status: 304, fields: ["etag", 'W/"a"', "cache-control", "max-age=10"] }, [
    "if-none-match",
    '"b"',
  ]);
  assert.deepEqual([value(stale.asked ?? [], "if-none-match"), stale.status, stale.body], ['W/"a"', 200, "one"]);
  const passed = cache.get("/a", { body: "two" }, ["if-match", '"x"']);
  assert.equal(passed.body, "two");
});

test("ranges of what is there whole; HEAD by what GET brought", () => {
  const cache = new CacheWorld();
  cache.get("/a", { fields: ["cache-control", "max-age=10", "etag", '"a"'], body: "0123456789" });
  const range = (spec: string, also: readonly string[] = []) => cache.get("/a", {}, ["range", spec, ...also]);
  assert.deepEqual([range("bytes=2-4").status, range("bytes=2-4").body], [206, "234"]);
  assert.equal(value(range("bytes=2-4").fields, "content-range"), "bytes 2-4/10");
  assert.equal(range("bytes=-3").body, "789");
  assert.equal(range("bytes=7-").body, "789");
  assert.equal(range("bytes=10-").status, 416);
  assert.equal(range("bytes=0-1,3-4").status, 200);
  assert.equal(range("bytes=2-4", ["if-range", '"b"']).status, 200);
  assert.equal(range("bytes=2-4", ["if-range", '"a"']).status, 206);
  const head = cache.get("/a", {}, [], "HEAD");
  assert.deepEqual([head.asked, value(head.fields, "content-length")], [null, "10"]);
});

test("unsafe methods invalidate what is stored for their URI, and for those of the same origin that the answer names", () => {
  for (const [method, status, gone] of [
    ["POST", 200, true],
    ["PUT", 204, true],
    ["DELETE", 200, true],
    ["M-SEARCH", 200, true],
    ["POST", 500, false],
    ["POST", 404, false],
    ["OPTIONS", 200, false],
  ] as const) {
    const cache = new CacheWorld();
    cache.get("/a", { ...cc("max-age=100"), body: "one" });
    cache.get("/a", { status, body: "ok" }, [], method);
    assert.equal(cache.get("/a", { body: "two" }).body === "two", gone, `${method} ${status}`);
  }
  const cache = new CacheWorld();
  for (const path of ["/b", "/c", "/d"]) cache.get(path, { ...cc("max-age=100"), body: "one" });
  cache.get("/a", { fields: ["location", "/b", "content-location", "http://shop/c"], body: "ok" }, [], "POST");
  cache.get("/a", { fields: ["location", "http://other/d"], body: "ok" }, [], "POST");
  assert.deepEqual(
    ["/b", "/c", "/d"].map((path) => cache.get(path, { body: "two" }).body),
    ["two", "two", "one"],
  );
});

test("stale-while-revalidate: the stale answer at once, one call to renew it", () => {
  const cache = new CacheWorld();
  const fields = ["cache-control", "max-age=10, stale-while-revalidate=60", "etag", '"a"'];
  cache.get("/a", { fields, body: "one" });
  cache.pass(20);
  const stale = cache.get("/a", { body: "two" });
  assert.deepEqual([stale.body, stale.asked, stale.refreshed], ["one", null, true]);
  const refresh = cache.begin("/a", [], "GET", { refresh: true });
  assert.equal(value(refresh.asked ?? [], "if-none-match"), '"a"');
  assert.deepEqual(cache.get("/a").refreshed, false); // one is under way
  refresh.play({ fields, body: "two" });
  const fresh = cache.get("/a");
  assert.deepEqual([fresh.body, fresh.refreshed], ["two", false]);
  cache.pass(80);
  assert.notEqual(cache.get("/a").asked, null);
});

test("a caller who is somebody gets no stale answer that would be renewed with what is theirs", () => {
  const cache = new CacheWorld();
  const fields = ["cache-control", "max-age=10, public, stale-while-revalidate=60", "etag", '"a"'];
  cache.get("/a", { fields, body: "one" });
  cache.pass(20);
  const got = cache.get("/a", { fields, body: "two" }, ["authorization", "Bearer x"]);
  assert.deepEqual([got.body, got.refreshed], ["two", false]);
});

test("stale-if-error, by the response, the policy or the fallback; never what must be revalidated", () => {
  const cases: [control: string, cache: object, fallback: boolean, served: boolean][] = [
    ["max-age=10", {}, false, false],
    ["max-age=10, stale-if-error=60", {}, false, true],
    ["max-age=10, stale-if-error=5", {}, false, false],
    ["max-age=10", { staleIfError: "60s" }, false, true],
    ["max-age=10", {}, true, true],
    ["max-age=10, must-revalidate, stale-if-error=60", { staleIfError: "60s" }, true, false],
    ["s-maxage=10, stale-if-error=60", {}, true, false],
  ];
  for (const played of [{ status: 503, body: "no" }, { fails: true }]) {
    for (const [control, spec, fallback, served] of cases) {
      const cache = new CacheWorld(spec, (policy) => (fallback ? policy.fallback({ stale: true }) : policy));
      cache.get("/a", { ...cc(control), body: "one" });
      cache.pass(20);
      const got = cache.get("/a", played);
      assert.equal(
        got.body === "one",
        served,
        `${control} ${JSON.stringify(spec)} ${fallback} ${JSON.stringify(played)}`,
      );
    }
  }
});

test("K3: calls that come together are answered by one fetch, or go on when it gives them nothing", () => {
  const cache = new CacheWorld();
  const [first, second, third] = [1, 2, 3].map(() => cache.begin("/a"));
  assert.deepEqual(
    [first, second, third].map(({ asked }) => asked === null),
    [false, true, true],
  );
  first.play({ ...cc("max-age=10"), body: "one" });
  for (const waiter of [second, third]) {
    waiter.call.woken(cache.now);
    waiter.drain();
    assert.equal(waiter.got().body, "one");
    assert.match(value(waiter.got().fields, "cache-status"), /collapsed/);
  }
  // What may not be shared is fetched by each, and the next ones know it.
  const own = [1, 2].map(() => cache.begin("/b"));
  own[0].play({ ...cc("private"), body: "one" });
  own[1].call.woken(cache.now);
  own[1].drain().look();
  assert.notEqual(own[1].asked, null);
  assert.notEqual(cache.begin("/b").asked, null);
  // The one that fetches goes away: another takes its place.
  const [gone, next, last] = [1, 2, 3].map(() => cache.begin("/c"));
  gone.call.downstreamGone(cache.now);
  gone.drain();
  for (const waiter of [next, last]) {
    waiter.call.woken(cache.now);
    waiter.drain().look();
  }
  assert.deepEqual([next.asked === null, last.asked === null], [false, true]);
  // Nobody waits longer than `collapse`.
  last.advance(5_000).look();
  assert.notEqual(last.asked, null);
});

test("what passes by: other methods, gRPC, bypass fields, bodies that are too large; and keys as policy makes them", () => {
  const cache = new CacheWorld({
    bypass: [{ name: "X-Preview" }],
    maxEntryBytes: 2_048,
    ignoreQuery: ["utm"],
    keyHeaders: ["x-tenant"],
  });
  cache.get("/a?utm=1&b=2", { ...cc("max-age=10"), body: "one" }, ["x-tenant", "t1"]);
  assert.equal(cache.get("/a?b=2&utm=9", {}, ["x-tenant", "t1"]).body, "one");
  assert.equal(cache.get("/a?b=2", { body: "two" }, ["x-tenant", "t2"]).body, "two");
  assert.equal(cache.get("/a?b=2", { body: "three" }, ["x-tenant", "t1", "x-preview", "1"]).body, "three");
  cache.get("/large", { ...cc("max-age=10"), body: "x".repeat(3_000) });
  assert.equal(cache.get("/large", { body: "two" }).body, "two");
  const call = new TestCall(cache.runtime).begin(grpc("/p.Products/Get"));
  assert.equal(call.count(Effect.forward), 1);
  for (const place of ["client", "sidecar"] as const) {
    const runtime = world({ resources: traffic("products").cache().resources() });
    const notes = new TestCall(runtime).begin(http("GET", "/"), { service: "products", place }).call.decision.steps;
    assert.equal(
      notes.some(({ rule }) => rule === "cache"),
      false,
    );
  }
});

test("Cache-Status and Age tell what was done, and explain does", () => {
  const cache = new CacheWorld();
  const first = cache.get("/a", { ...cc("max-age=100"), body: "one" });
  assert.equal(value(first.fields, "cache-status"), "weft; fwd=uri-miss; fwd-status=200; stored");
  cache.pass(30);
  const call = cache.begin("/a");
  assert.equal(value(call.got().fields, "cache-status"), "weft; hit; ttl=70");
  assert.equal(value(call.got().fields, "age"), "30");
  const step = call.call.decision.steps.find(({ rule }) => rule === "cache");
  assert.deepEqual([step?.text, step?.values], ["answered from the cache", { ageMs: 30_000, freshForMs: 70_000 }]);
  assert.deepEqual({ ...cache.store.counts }, { ...cache.store.counts, hits: 1, misses: 1, stored: 1 });
});

test("a cache outlives a new revision, and is freed with its policy", () => {
  const cache = new CacheWorld();
  cache.get("/a", { ...cc("max-age=100"), body: "one" });
  cache.runtime.applyResources(2, traffic("products").cache({ maxBytes: 70_000 }).timeout("1s").resources(), []);
  assert.equal(cache.get("/a").body, "one");
  cache.runtime.applyResources(3, [], []);
  assert.equal([...cache.runtime.caches()].length, 0);
});

test("what cannot be meant is refused", () => {
  const problems = (cache: unknown): string => {
    try {
      parseResources([
        { apiVersion: "weftmesh.dev/v1", kind: "TrafficPolicy", metadata: { name: "x" }, spec: { cache } },
      ]);
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.match(problems({ maxBytes: 70_000, maxEntryBytes: 80_000 }), /must not be more than maxBytes/);
  assert.match(problems({ methods: ["HEAD"] }), /must have GET/);
  assert.match(problems({ methods: ["POST"] }), /must be GET or HEAD/);
  assert.match(problems({ ignoreQuery: ["a&b"] }), /query parameter/);
  assert.equal(problems({ ignoreQuery: true, defaultTtl: "5s", staleIfError: "1h", bypass: [{ name: "x" }] }), "");
});
