import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { type BodyStore, type Call, Effect, type Place } from "../call.ts";
import { explainDecision } from "../decision/explain.ts";
import { DecisionJournal } from "../decision/journal.ts";
import { anyResourceOf, KINDS } from "../resource/any-resource.case.ts";
import type { Resource } from "../resource/resources.ts";
import { inspectResources } from "../resource/validate.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { endpoint, grpc, http, METHODS, TestCall } from "./call.case.ts";

/*
 * Every policy that the shapes allow, several at once, under events in any order: whatever is written and whatever happens, nothing throws, C1 to C11 hold, and
 * when the last call has ended nothing is counted in flight or waited for any more.
 */

const resources = fc
  .array(fc.constantFrom(...KINDS).chain(anyResourceOf), { minLength: 1, maxLength: 6 })
  .map((made) => {
    const kept: Resource[] = [];
    for (const one of made) {
      if (one === null) continue;
      const named = { ...one, metadata: { name: `${one.kind.toLowerCase()}-${kept.length}` } } as Resource;
      if (inspectResources([...kept, named]).errors.length === 0) kept.push(named);
    }
    return kept;
  });

const FIELDS: readonly (readonly string[])[] = [
  [],
  ["authorization", "Bearer a.b.c"],
  ["authorization", "Basic YTpi", "authorization", "Basic YTpi"],
  ["x-user", "a", "x-user", "b", "x-key", "k", "cookie", "__proto__=1; a=2; a=3"],
  ["weft-fault", "delay=10ms,abort=503", "x-weft-priority", "9", "x-weft-limited", "a", "constructor", "x"],
  ["origin", "https://a", "access-control-request-method", "GET", "cache-control", "max-stale=9, no-cache"],
  ["range", "bytes=0-0,9-", "if-none-match", "*", "expect", "x", "__proto__", "y"],
];
const PATHS = [
  "/",
  "/web",
  "/login",
  "/__proto__",
  "//web/../%2e%2e/x;a?id=1&id=2&__proto__=3",
  "/p.Products/Get",
  "/p.Products/Watch",
  "*",
];

const begun = fc.record({
  method: fc.constantFrom("GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE", "__proto__"),
  path: fc.constantFrom(...PATHS),
  fields: fc.constantFrom(...FIELDS),
  service: fc.constantFrom("", "products", "products", "constructor"),
  place: fc.constantFrom<Place>("gateway", "gateway", "client", "server"),
  grpc: fc.boolean(),
  transcoded: fc.boolean(),
  identity: fc.constantFrom("", "spiffe://shop/orders", "__proto__"),
  address: fc.constantFrom("10.1.1.1:4000", "[::1]:1", "", "nonsense"),
  body: fc.boolean(),
});

/** What shells may answer, by kind: well formed, whatever stands in it. Of shared limits what another system says, so anything at all. */
const ANSWERS: Readonly<Record<string, readonly unknown[]>> = {
  "shared-limit": [
    "text",
    Number.NaN,
    [],
    { allowed: true, waitMs: Number.NaN, left: -1 },
    { allowed: true, waitMs: 0, left: 1e300 },
    { allowed: false, waitMs: 1e308, left: Number.POSITIVE_INFINITY },
    { allowed: false, waitMs: -5, left: 1e300 },
  ],
  token: [
    { verified: true, problem: "" },
    { verified: false, problem: "x".repeat(10_000) },
  ],
  secret: [{ consumer: null }, { consumer: { name: "__proto__", claims: { constructor: 1, role: ["a", {}] } } }],
  session: [
    { claims: { sub: "a", exp: Number.NaN }, freshUntil: Number.NaN, location: "", setCookies: [], problem: "" },
    { claims: null, freshUntil: 0, location: "https://id.test/auth?x=1", setCookies: ["a=b"], problem: "" },
    { claims: null, freshUntil: 0, location: "", setCookies: [], problem: "no" },
  ],
  "external-authorization": [
    {
      allowed: true,
      status: 200,
      fields: ["x-user", "a", "set-cookie", "x"],
      removeFields: ["host", ":path"],
      body: null,
      message: "",
    },
    { allowed: false, status: 302, fields: ["location", "x"], removeFields: [], body: Buffer.from("no"), message: "" },
    { allowed: false, status: 503, fields: [], removeFields: [], body: null, message: "m".repeat(10_000) },
  ],
};

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("begin" as const), what: begun }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(0, 1, 15, 60, 400, 3_000) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom("head" as const, "head" as const, "data" as const, "trailers" as const, "failed" as const),
      call: fc.nat(5),
      attempt: fc.integer({ min: 0, max: 6 }),
      status: fc.constantFrom(200, 200, 304, 404, 500, 503, 101),
      fields: fc.constantFrom(
        [],
        ["cache-control", "max-age=1, stale-if-error=9", "vary", "x-user", "etag", '"a"'],
        ["grpc-status", "14", "retry-after", "9e99", "grpc-retry-pushback-ms", "-1"],
        ["endpoint-load-metrics", "TEXT cpu=1e309,mem=-1,eps=NaN,named_metrics.__proto__=1", "set-cookie", "a=b"],
      ),
      fin: fc.boolean(),
      failure: fc.constantFrom(
        "connect" as const,
        "reset" as const,
        "refused" as const,
        "protocol" as const,
        "overflow" as const,
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("answered" as const), call: fc.nat(5), which: fc.nat(6) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "gone" as const,
        "woken" as const,
        "body" as const,
        "bodyEnd" as const,
        "timer" as const,
        "sessionEnd" as const,
      ),
      call: fc.nat(5),
      id: fc.nat(31),
    }),
  },
);

test("C1 to C11 hold under every policy at once, and nothing is left when calls have ended", () => {
  fc.assert(
    fc.property(resources, fc.array(step, { maxLength: 60, size: "max" }), fc.integer(), (policies, steps, seed) => {
      const runtime = createPolicyRuntime({
        random: seededRandom(seed),
        record: "all",
        journal: new DecisionJournal(),
        wallAt: 1.7e12,
      });
      runtime.applyResources(1, policies, METHODS);
      const changed = ["products-1", "products-2", "standby-1", "constructor-1"].map((id) =>
        endpoint(id, { version: id.endsWith("1") ? "v1" : "" }),
      );
      runtime.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
      const calls: TestCall[] = [];
      const server = new Set<TestCall>();
      const woken = new Set<TestCall>();
      const whole = new Set<TestCall>();
      const closed = new Set<BodyStore>();
      let now = 1_000;
      const settle = (): void => {
        for (let rounds = 0; rounds < 1_000 && woken.size > 0; rounds++) {
          for (const call of [...woken]) {
            woken.delete(call);
            call.call.woken(now);
            call.drain();
          }
        }
        for (const call of calls) {
          check(call, server.has(call));
          const { store } = call.call;
          if (store === null || closed.has(store) || call.count(Effect.deliver) === 0) continue;
          // As a shell does with what it is given with `deliver`.
          if (call.call.ended) {
            closed.add(store);
            if (whole.has(call)) store.end();
            else store.abort();
          }
        }
      };
      for (const each of steps) {
        if (each.kind === "begin") {
          const { what } = each;
          const request = what.grpc ? grpc(what.path) : http(what.method, what.path, what.fields);
          const asSent =
            what.transcoded && what.grpc && what.place !== "client" ? http(what.method, "/web", what.fields) : null;
          const call = new TestCall(runtime, now);
          if (what.place === "server") server.add(call);
          call.call.waker = { wake: () => woken.add(call) };
          calls.push(call);
          call.begin(
            request,
            {
              place: what.place,
              service: what.service,
              asSent,
              peerIdentity: what.identity,
              peerAddress: what.address,
              deadline: now + 5_000,
            },
            what.body,
          );
        } else if (each.kind === "wait") {
          now += each.ms;
          for (const call of calls) if (!call.call.ended) call.advance(now - call.now);
        } else {
          const open = calls.filter(({ call }) => !call.ended);
          const call = open[each.call % Math.max(1, open.length)];
          if (call === undefined) continue;
          call.now = now;
          if ("fin" in each && (each.fin || each.kind === "trailers") && each.kind !== "failed") whole.add(call);
          const attempt = "attempt" in each ? Math.min(each.attempt, server.has(call) ? 0 : call.endpoints.length) : 0;
          if (each.kind === "head") {
            if (accepted(call, server)) call.head(attempt, each.status, each.fields, each.fin);
          } else if (each.kind === "data") {
            if (accepted(call, server)) call.call.responseData(attempt, 10, each.fin, now);
          } else if (each.kind === "trailers") {
            if (accepted(call, server)) call.call.trailers(attempt, each.fields, now);
          } else if (each.kind === "failed") call.fail(attempt, each.failure);
          else if (each.kind === "answered") {
            const { query, queryId } = call.call;
            const answers = [null, ...(ANSWERS[query?.kind ?? ""] ?? [])];
            if (query !== null) call.call.answered(queryId, answers[each.which % answers.length], now);
          } else if (each.kind === "gone") call.call.downstreamGone(now);
          else if (each.kind === "woken") call.call.woken(now);
          else if (each.kind === "body") call.call.requestData(20, now);
          else if (each.kind === "bodyEnd") call.call.requestEnd(now);
          else if (each.kind === "sessionEnd") call.call.sessionEnd(now);
          else if (each.kind === "timer" && call.timers.delete(each.id)) call.call.timer(each.id, now);
          call.drain();
        }
        settle();
      }
      for (const call of calls) {
        if (!call.call.ended) call.call.downstreamGone(now);
        call.drain();
        settle();
      }
      for (const call of calls) {
        assert.equal(call.count(Effect.end), 1); // C1
        assert.equal(call.timers.size, 0); // C9
        JSON.stringify(call.call.decision);
        explainDecision(call.call.decision);
        assert.notEqual(call.reason, "POLICY_FAILED", String(call.call.response?.error?.cause));
        if (server.has(call)) assert.equal(call.count(Effect.forward), 0);
        runtime.release(call.call as Call);
      }
      for (const service of ["products", "standby", "constructor"])
        for (const { inFlight } of runtime.describe(service, now)) assert.equal(inFlight, 0); // C8
      for (const [, { count }] of runtime.faults()) assert.equal(count, 0);
      for (const [, store] of runtime.caches()) assert.equal(store.fetches.size, 0);
      for (const { inFlight, name } of runtime.process.adaptiveLimits) assert.equal(inFlight, 0, name);
      for (const one of runtime.objectives(now)) JSON.stringify(one);
      for (const one of runtime.stats()) JSON.stringify(one);
      for (const found of runtime.journal?.find("id", 1_000) ?? []) JSON.stringify(found);
    }),
    { numRuns: 120 },
  );
});

/** A shell at a server tells of an answer only once the call was accepted. */
function accepted(call: TestCall, server: ReadonlySet<TestCall>): boolean {
  return !server.has(call) || call.count(Effect.accept) > 0;
}

function check(call: TestCall, server: boolean): void {
  const kinds = call.seen.map(({ kind }) => kind);
  const end = kinds.indexOf(Effect.end);
  assert.ok(end < 0 || end === kinds.length - 1); // C1
  assert.ok(call.count(Effect.respond) + call.count(Effect.deliver) <= 1); // C2
  assert.ok(call.count(Effect.abort) <= call.count(Effect.deliver)); // C2
  const delivered = kinds.indexOf(Effect.deliver);
  assert.ok(delivered < 0 || !kinds.includes(Effect.forward, delivered)); // C3
  const forwarded = new Set<number>();
  const cancelled = new Set<number>();
  for (const { kind, attempt, timerMs } of call.seen) {
    if (kind === Effect.startTimer) assert.ok(timerMs >= 0 && !Number.isNaN(timerMs), `a timer of ${timerMs} ms`);
    if (kind === Effect.forward) forwarded.add(attempt);
    if (kind === Effect.deliver || kind === Effect.cancel) assert.ok(forwarded.has(attempt)); // C4
    if (kind !== Effect.cancel) continue;
    assert.ok(!cancelled.has(attempt)); // C4
    cancelled.add(attempt);
  }
  const { attempts, startedAt } = call.call.decision;
  const open = attempts.filter(({ outcome }) => outcome === "").length;
  if (delivered >= 0) assert.ok(open <= 1); // C11
  if (call.call.ended) assert.equal(open, 0);
  else if (!server || call.count(Effect.accept) === 0) assert.ok(open > 0 || call.timers.size > 0 || asks(call)); // C11
  for (const { startMs } of attempts) assert.ok(startMs < 5_000 || startedAt < 0); // C10
  const { response } = call.call;
  if (response === null || call.count(Effect.respond) === 0) return;
  assert.ok(response.status >= 200 && response.status <= 599, `status ${response.status}`);
  for (let i = 0; i < response.fields.length; i += 2) {
    assert.match(response.fields[i], /^[!#$%&'*+\-.^_`|~0-9a-z]+$/);
    assert.match(response.fields[i + 1], /^[\t -~\u0080-\u00ff]*$/, response.fields[i]);
    if (NUMBERS.test(response.fields[i])) assert.match(response.fields[i + 1], /^\d{1,16}$/, response.fields[i]);
    if (response.fields[i] === "ratelimit") assert.match(response.fields[i + 1], /^"[^"]*";r=\d{1,16};t=\d{1,16}$/);
  }
}

const NUMBERS = /^(retry-after|ratelimit-(limit|remaining|reset))$/;

function asks(call: TestCall): boolean {
  return call.count(Effect.query) > 0;
}
