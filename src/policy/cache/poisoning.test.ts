import assert from "node:assert/strict";
import { test } from "node:test";
import { authorization } from "../builders.ts";
import { endpoint, http, TestCall, world } from "../machine/call.case.ts";
import { traffic } from "../resource/traffic-builder.ts";
import { CacheWorld } from "./cache.case.ts";

const KEPT = { fields: ["cache-control", "max-age=60"], body: "kept" };

test("a leader that hangs holds others up for `collapse` after it began, and no longer", () => {
  const cache = new CacheWorld({ collapse: "2s" });
  cache.begin("/slow"); // never answered, or read at a byte a minute
  cache.now += 1_500;
  const second = cache.begin("/slow");
  assert.equal(second.asked, null, "waits for the first");
  second.advance(500).look();
  assert.notEqual(second.asked, null, "the first has had its time");
  cache.now += 1_000;
  // From here on the second is the one to wait for, for as long as its own time lasts.
  const third = cache.begin("/slow");
  assert.equal(third.asked, null);
  second.now = cache.now;
  second.play(KEPT);
  third.now = cache.now;
  third.call.woken(cache.now);
  third.drain();
  assert.equal(third.got().body, "kept");
});

test("many that come while one hangs make one request each `collapse`, not one each", () => {
  const cache = new CacheWorld({ collapse: "2s" });
  cache.begin("/slow");
  let asked = 0;
  const calls = Array.from({ length: 40 }, () => {
    cache.now += 250;
    return { call: cache.begin("/slow"), begunAt: cache.now };
  });
  for (const { call, begunAt } of calls) {
    call.look();
    if (call.asked !== null) asked++;
    else assert.ok(cache.now - begunAt < 10_000);
  }
  assert.ok(asked <= 10_000 / 2_000 + 1, `${asked} were sent on at once`);
});

test("what the service is told of where a request came from tells answers apart", () => {
  const cache = new CacheWorld({});
  const from = (proto: string, host: string) => ["x-forwarded-proto", proto, "x-forwarded-host", host];
  const redirect = { status: 301, fields: ["cache-control", "max-age=60", "location", "https://shop/"], body: "" };
  // Over plain TCP, with :scheme https: the service sends it to where it says that it is already.
  assert.equal(cache.get("/", redirect, from("http", "shop")).status, 301);
  assert.equal(cache.get("/", KEPT, from("https", "shop")).status, 200);
  cache.get("/links", { ...KEPT, body: "//evil/x.js" }, from("https", "evil"));
  assert.equal(cache.get("/links", { ...KEPT, body: "//shop/x.js" }, from("https", "shop")).body, "//shop/x.js");
  assert.equal(cache.get("/links", { fails: true }, from("https", "shop")).body, "//shop/x.js");
});

test("a request that asks for another method by a field passes by the cache", () => {
  const cache = new CacheWorld({});
  for (const name of ["x-http-method-override", "x-http-method", "x-method-override"]) {
    assert.equal(cache.get("/x", { ...KEPT, body: "deleted" }, [name, "DELETE"]).body, "deleted");
  }
  assert.equal(cache.get("/x", KEPT).body, "kept");
});

test("a cookie's answer is everybody's only when the service says for how long", () => {
  const cache = new CacheWorld({ defaultTtl: "60s" });
  const mine = ["cookie", "session=7"];
  assert.equal(cache.get("/me", { body: "yours" }, mine).body, "yours");
  assert.equal(cache.get("/me", { body: "nobody's" }).body, "nobody's");
  const modified = ["last-modified", "Mon, 01 Jan 2018 00:00:00 GMT"];
  const guessing = new CacheWorld({});
  guessing.get("/me", { body: "yours", fields: modified }, mine);
  assert.equal(guessing.get("/me", { body: "nobody's", fields: modified }).body, "nobody's");
  guessing.get("/logo", KEPT, mine);
  assert.equal(guessing.get("/logo", { fails: true }).body, "kept");
});

test("what an external check told the service of the user makes an answer that user's", () => {
  const check = authorization("products")
    .ask({ http: { url: "http://check.test/" }, upstreamHeaders: ["x-user"] })
    .resources();
  const cache = traffic("products").cache({}).retry(0).resources();
  const runtime = world({ resources: [...check, ...cache], endpoints: [endpoint("products-1")] });
  const ask = (user: string): { call: TestCall; answer: string } => {
    const call = new TestCall(runtime, 1_000);
    call.begin(http("GET", "/me"), { service: "products", place: "gateway" });
    const answer = { allowed: true, status: 200, fields: ["x-user", user], removeFields: [], body: null, message: "" };
    call.call.answered(call.call.queryId, answer, 1_000);
    call.drain();
    return { call, answer: call.call.response === null ? "asked" : "cached" };
  };
  const ann = ask("ann");
  ann.call.head(1, 200, ["cache-control", "max-age=60"], false);
  const body = Buffer.from("ann's");
  ann.call.call.store?.data(body, 0, body.length);
  ann.call.call.store?.end();
  assert.equal(ask("bob").answer, "asked");
});

test("a head takes no more time than its length, however it is written", () => {
  const spaces = `a${" ".repeat(60_000)}b`;
  const cache = new CacheWorld({});
  const varies = { ...KEPT, fields: [...KEPT.fields, "vary", "accept-language"] };
  cache.get("/", varies, ["accept-language", "en"]);
  const begun = process.cpuUsage();
  for (let i = 0; i < 5; i++) cache.get("/", varies, ["accept-language", `${i}${spaces}`]);
  for (let i = 0; i < 20; i++) cache.get("/", varies, ["cache-control", `a=${" ".repeat(4_080)}x"`]);
  const { user } = process.cpuUsage(begun);
  assert.ok(user < 250_000, `${user} us`);
});
