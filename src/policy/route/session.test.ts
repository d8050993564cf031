import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { route } from "../builders.ts";
import { type Call, Effect } from "../call.ts";
import { context, endpoint, http, METHODS } from "../machine/call.case.ts";
import type { Resource } from "../resource/resources.ts";
import type { PolicyRuntime } from "../runtime.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";

const FOUR = [1, 2, 3, 4].map((n) => endpoint(`products-${n}`));

function shop(resources: readonly Resource[], endpoints = FOUR): PolicyRuntime {
  const runtime = createPolicyRuntime({ random: seededRandom(1), record: "all", wallAt: 1_700_000_000_000 });
  runtime.applyResources(1, resources, METHODS);
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed: endpoints, removed: [] });
  return runtime;
}

/** One call that is answered at once; where it went, and what its answer set. */
function visit(
  runtime: PolicyRuntime,
  fields: readonly string[] = [],
  { now = 0, secure = false, fail = 0, extraFields = [] as readonly string[] } = {},
): { at: string; set: string | undefined; call: Call } {
  const call = runtime.createCall();
  call.begin(http("GET", "/shop/cart", fields), context({ secure, extraFields }), false, now);
  let at = "";
  let set: string | undefined;
  const drain = (): void => {
    for (let kind = call.next(); kind !== Effect.none; kind = call.next()) {
      if (kind === Effect.forward) at = call.endpoint?.id ?? "";
      const added = kind === Effect.deliver ? (call.addFields ?? []) : [];
      const name = added.findIndex((field) => field === "set-cookie" || field === "x-session");
      if (name >= 0) set = added[name + 1];
    }
  };
  drain();
  for (let i = 1; i <= fail; i++) {
    call.failed(i, { kind: "connect", unprocessed: true, message: "refused" }, now);
    drain();
  }
  if (!call.ended) call.head(fail + 1, 200, [], true, now + 1);
  drain();
  return { at, set, call };
}

const sticky = (session?: Parameters<ReturnType<typeof route>["sticky"]>[0]): readonly Resource[] =>
  route("/shop").to("products").sticky(session).resources();
const tokenIn = (set: string | undefined): string => /=([^;]*)/.exec(set ?? "")?.[1] ?? "";

test("a caller with the cookie of an answer stays with the endpoint that gave it", () => {
  const runtime = shop(sticky());
  const seen = new Set<string>();
  for (let i = 0; i < 12; i++) {
    const first = visit(runtime);
    seen.add(first.at);
    assert.match(first.set ?? "", /^weft-shop-main=[0-9a-z]{14}\.\w+\.\w+; Path=\/shop; HttpOnly; SameSite=Lax$/);
    const cookie = ["cookie", `other=1; weft-shop-main=${tokenIn(first.set)}; last=2`];
    for (let j = 0; j < 5; j++) {
      const next = visit(runtime, cookie);
      assert.equal(next.at, first.at);
      assert.equal(next.set, undefined);
    }
    assert.equal(visit(runtime, cookie).call.decision.attempts[0].why, "its session's endpoint");
  }
  assert.ok(seen.size > 1);
});

test("a typed client stays, too: what calls say in their metadata counts as what they send", () => {
  const runtime = shop(sticky({ by: "header", name: "x-session" }));
  const first = visit(runtime);
  for (let i = 0; i < 8; i++) {
    const next = visit(runtime, [], { extraFields: ["x-session", first.set ?? ""] });
    assert.equal(next.at, first.at);
    assert.equal(next.set, undefined);
  }
});

test("when the endpoint is gone, unhealthy or fails, another is chosen and the caller gets its session", () => {
  const runtime = shop(sticky({ name: "s" }));
  const first = visit(runtime);
  const cookie = ["cookie", `s=${tokenIn(first.set)}`];
  const failed = visit(runtime, cookie, { fail: 1 });
  assert.notEqual(failed.at, first.at);
  assert.notEqual(tokenIn(failed.set), "");
  const rest = FOUR.filter(({ id }) => id !== first.at);
  runtime.applyEndpoints({ endpointVersion: 2, full: true, changed: rest, removed: [] });
  const moved = visit(runtime, cookie);
  assert.notEqual(moved.at, first.at);
  assert.equal(visit(runtime, ["cookie", `s=${tokenIn(moved.set)}`]).at, moved.at);
  const sick = rest.map((one) => (one.id === moved.at ? { ...one, health: "unhealthy" as const } : one));
  runtime.applyEndpoints({ endpointVersion: 3, full: true, changed: sick, removed: [] });
  assert.notEqual(visit(runtime, ["cookie", `s=${tokenIn(moved.set)}`]).at, moved.at);
});

test("a token names nothing but an endpoint of the rule's backends", () => {
  const endpoints = [...FOUR, endpoint("payments-1")];
  const runtime = shop(
    [...sticky({ name: "s" }), ...route("/pay").to("payments").sticky({ name: "s" }).resources()],
    endpoints,
  );
  const call = runtime.createCall();
  call.begin(http("GET", "/pay"), context(), false, 0);
  while (call.next() !== Effect.forward);
  call.head(1, 200, [], true, 0);
  while (call.next() !== Effect.deliver);
  const foreign = tokenIn(call.addFields?.[1]);
  const wrong = [foreign, "10.0.0.9:80", "a.b.c", "x".repeat(500), `${"z".repeat(14)}.0.0`, ""];
  for (const token of wrong) {
    const { at, set } = visit(runtime, ["cookie", `s=${token}`]);
    assert.match(at, /^products-/);
    assert.notEqual(set, undefined);
  }
});

test("sessions end when they are old or idle, and are said again while they are used", () => {
  const runtime = shop(sticky({ name: "s", idle: "10m", atMost: "1h" }));
  const minute = 60_000;
  const first = visit(runtime);
  const cookie = (set: string | undefined): string[] => ["cookie", `s=${tokenIn(set)}`];
  assert.equal(visit(runtime, cookie(first.set), { now: 0.5 * minute }).set, undefined);
  const again = visit(runtime, cookie(first.set), { now: 5 * minute });
  assert.equal(again.at, first.at);
  assert.equal(visit(runtime, cookie(again.set), { now: 14 * minute }).at, first.at);
  assert.equal(
    visit(runtime, cookie(first.set), { now: 14 * minute }).call.decision.steps.find(({ rule }) => rule === "session")
      ?.verdict,
    "skipped",
  );
  let last = again;
  for (let now = 10; now <= 60; now += 5) last = visit(runtime, cookie(last.set ?? again.set), { now: now * minute });
  const over = visit(runtime, cookie(last.set), { now: 61 * minute });
  assert.equal(over.call.decision.steps.find(({ rule }) => rule === "session")?.verdict, "skipped");
});

test("by header; permanent cookies; secure ones; across sites with credentials", () => {
  const byHeader = shop(sticky({ by: "header", name: "X-Session" }));
  const first = visit(byHeader);
  for (let i = 0; i < 5; i++) assert.equal(visit(byHeader, ["x-session", first.set ?? ""]).at, first.at);
  const permanent = visit(shop(sticky({ name: "s", permanent: true, atMost: "2h" })), [], { secure: true });
  assert.match(permanent.set ?? "", /; Path=\/shop; Max-Age=7200; HttpOnly; SameSite=Lax; Secure$/);
  const pattern = route("/shop/c[a-z]+").or("/shop/cart/.*").matching().to("products").sticky({ name: "s" });
  assert.match(visit(shop(pattern.resources())).set ?? "", /; Path=\/shop; HttpOnly/);
  const crossing = route("/shop")
    .to("products")
    .cors({ allowOrigins: ["https://a.example"], allowCredentials: true })
    .sticky();
  assert.match(visit(shop(crossing.resources()), [], { secure: true }).set ?? "", /SameSite=None; Secure$/);
});

test("a session keeps to its backend whatever the weights are, unless that is 0", () => {
  const endpoints = FOUR.map((one, i) => ({ ...one, version: i < 2 ? "v1" : "v2" }));
  const both = (v1: number, v2: number): readonly Resource[] =>
    route("/shop").to({ "products@v1": v1, "products@v2": v2 }).sticky({ name: "s" }).resources();
  const runtime = shop(both(1, 1), endpoints);
  const first = visit(runtime);
  const cookie = ["cookie", `s=${tokenIn(first.set)}`];
  for (let i = 0; i < 10; i++) assert.equal(visit(runtime, cookie).at, first.at);
  const version = endpoints.find(({ id }) => id === first.at)?.version;
  runtime.applyResources(2, version === "v1" ? both(1, 99) : both(99, 1), METHODS);
  for (let i = 0; i < 10; i++) assert.equal(visit(runtime, cookie).at, first.at);
  runtime.applyResources(3, version === "v1" ? both(0, 1) : both(1, 0), METHODS);
  assert.notEqual(visit(runtime, cookie).at, first.at);
});

test("P1, P2: whatever comes and goes, a caller's token leads to the endpoint that gave it while that is healthy, and every answer leaves it with one", () => {
  const change = fc.record({ at: fc.nat(3), health: fc.constantFrom("healthy", "unhealthy", "draining", "gone") });
  const step = fc.oneof(
    change,
    fc.constant("visit" as const),
    fc.constant("visit" as const),
    fc.constant("snapshot" as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 9 }), (steps, weight) => {
      const endpoints = new Map(FOUR.map((one, i) => [one.id, { ...one, version: i % 2 === 0 ? "v1" : "v2" }]));
      const resources = (share: number): readonly Resource[] =>
        route("/shop")
          .to({ "products@v1": share, "products@v2": 10 - share })
          .sticky({ name: "s" })
          .resources();
      const runtime = shop(resources(weight), [...endpoints.values()]);
      let [token, holder] = ["", ""];
      steps.forEach((what, now) => {
        if (what === "snapshot") {
          runtime.applyResources(now + 2, resources(10 - weight), METHODS);
          return;
        }
        if (what === "visit") {
          const healthy = [...endpoints.values()].filter(({ health }) => health === "healthy");
          const { at, set } = visit(runtime, token === "" ? [] : ["cookie", `s=${token}`], { now });
          if (healthy.some(({ id }) => id === holder)) assert.equal(at, holder);
          if (at === "") return;
          if (at !== holder) assert.notEqual(set, undefined);
          if (set !== undefined) [token, holder] = [tokenIn(set), at];
          return;
        }
        const one = FOUR[what.at];
        const version = what.at % 2 === 0 ? "v1" : "v2";
        if (what.health === "gone") endpoints.delete(one.id);
        else endpoints.set(one.id, { ...one, version, health: what.health });
        runtime.applyEndpoints({ endpointVersion: now + 2, full: true, changed: [...endpoints.values()], removed: [] });
      });
    }),
    { numRuns: 200 },
  );
});
