import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CacheWorld } from "./cache.case.ts";

/**
 * The cache against RFC 9111, read naively: every answer that did not come from the service is looked up in the list of all that the service ever said, and
 * must be one that a shared cache may reuse for this request at this time.
 */

interface Said {
  readonly body: string;
  readonly path: string;
  readonly at: number;
  readonly ageSeconds: number;
  readonly control: readonly string[];
  readonly vary: boolean;
  readonly requestV: string;
  readonly authorized: boolean;
  readonly requestNoStore: boolean;
  readonly status: number;
}

const control = fc.uniqueArray(
  fc.constantFrom(
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "max-age=0",
    "max-age=10",
    "max-age=60",
    "s-maxage=5",
    "s-maxage=30",
    "stale-while-revalidate=10",
    "stale-if-error=20",
  ),
  { maxLength: 3 },
);
const step = fc.record({
  later: fc.constantFrom(0, 0, 1, 4, 7, 15, 40),
  path: fc.constantFrom("/a", "/b"),
  method: fc.constantFrom("GET", "GET", "GET", "GET", "POST"),
  v: fc.constantFrom("1", "2"),
  authorized: fc.boolean(),
  asks: fc.constantFrom("", "", "", "no-cache", "no-store", "max-age=5", "max-stale=8", "min-fresh=6", "max-stale"),
  says: fc.record({
    status: fc.constantFrom(200, 200, 200, 404, 503),
    control,
    age: fc.constantFrom(0, 0, 3, 12),
    vary: fc.boolean(),
  }),
});

test("K1: nothing is answered from the cache that RFC 9111 forbids, for any traffic", () => {
  let reused = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: "max" }), (steps) => {
      const cache = new CacheWorld({ collapse: "0s" });
      const all = new Map<string, Said>();
      const invalidatedAt = new Map<string, number>();
      steps.forEach(({ later, path, method, v, authorized, asks, says }, i) => {
        cache.pass(later);
        const fields = ["x-v", v];
        if (authorized) fields.push("authorization", "Bearer x");
        if (asks !== "") fields.push("cache-control", asks);
        const body = `answer ${i}`;
        const answer = ["x-id", body];
        if (says.control.length > 0) answer.push("cache-control", says.control.join(", "));
        if (says.age > 0) answer.push("age", String(says.age));
        if (says.vary) answer.push("vary", "x-v");
        const got = cache.get(path, { status: says.status, fields: answer, body }, fields, method);
        if (method === "POST") {
          if (says.status === 200) invalidatedAt.set(path, i);
          assert.notEqual(got.asked, null);
          return;
        }
        if (got.body === body) {
          all.set(body, {
            body,
            path,
            at: cache.now,
            ageSeconds: says.age,
            control: says.control,
            vary: says.vary,
            requestV: v,
            authorized,
            requestNoStore: asks === "no-store",
            status: says.status,
          });
          return;
        }
        reused++;
        const said = all.get(got.body);
        assert.ok(said !== undefined, `${got.body} was never said`);
        const number = Number(said.body.split(" ")[1]);
        assert.ok(number > (invalidatedAt.get(path) ?? -1), "invalidated");
        assertReusable(said, { path, v, authorized, asks, now: cache.now, failed: got.asked !== null });
      });
    }),
    { numRuns: 400 },
  );
  assert.ok(reused > 200, `only ${reused} answers came from the cache: the test would prove nothing`);
});

function assertReusable(
  said: Said,
  asked: { path: string; v: string; authorized: boolean; asks: string; now: number; failed: boolean },
): void {
  const { control, ageSeconds, at } = said;
  const seconds = (name: string): number | undefined => {
    const found = control.find((directive) => directive.startsWith(`${name}=`));
    return found === undefined ? undefined : Number(found.split("=")[1]);
  };
  assert.equal(said.path, asked.path);
  for (const forbidden of ["no-store", "private"]) assert.ok(!control.includes(forbidden), forbidden);
  assert.ok(!said.requestNoStore, "the request said no-store");
  if (said.vary) assert.equal(said.requestV, asked.v, "vary");
  if (said.authorized) {
    const allowed =
      control.includes("public") || control.includes("must-revalidate") || seconds("s-maxage") !== undefined;
    assert.ok(allowed, "authorization");
  }
  const lifetime = seconds("s-maxage") ?? seconds("max-age") ?? 0;
  const age = ageSeconds + (asked.now - at) / 1000;
  // No request is validated here (there are no validators), so no-cache means: not at all.
  assert.ok(!control.includes("no-cache"), "no-cache");
  assert.notEqual(asked.asks, "no-cache");
  if (asked.asks === "max-age=5" && !asked.failed) assert.ok(age <= 5, `age ${age}, max-age=5 asked for`);
  if (asked.asks === "min-fresh=6" && !asked.failed) assert.ok(lifetime - age >= 6, "min-fresh");
  const stale = age - lifetime;
  if (stale < 0) return;
  const strict =
    control.includes("must-revalidate") || control.includes("proxy-revalidate") || seconds("s-maxage") !== undefined;
  assert.ok(!strict, "stale though it must be revalidated");
  const allowed = [
    asked.asks === "max-stale" ? Number.POSITIVE_INFINITY : asked.asks === "max-stale=8" ? 8 : -1,
    seconds("stale-while-revalidate") ?? -1,
    asked.failed ? (seconds("stale-if-error") ?? -1) : -1,
  ];
  assert.ok(stale <= Math.max(...allowed), `stale by ${stale} s`);
}
