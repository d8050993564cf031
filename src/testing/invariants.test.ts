import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BALANCER_KINDS } from "../policy/balance/balancer-field.ts";
import { rateLimit, route, traffic } from "../policy/builders.ts";
import { AttemptKind } from "../policy/decision/attempt-kind.ts";
import type { CallDecision } from "../policy/decision/decision.ts";
import type { SimAttempt } from "./attempt.ts";
import type { SimProcess } from "./process.ts";
import type { Fault, RequestSpec, ResourceInput } from "./types.ts";
import { SimWorld } from "./world.ts";

/*
 * The machines together, under random faults, delays, cancellations, endpoints that come and go and policy that changes under way. What must hold
 * whatever happens:
 *
 *     I1  When the last call has ended nothing is counted in flight any more: no endpoint, no server, no event but faults'.
 *     I2  A half-open breaker lets one probe through at a time.
 *     I3  No endpoint gets more at once than maxInFlightPerEndpoint, no service more than maxInFlight, from one process.
 *     I4  Retries of the budget stay within it, and no call makes more attempts than its policy allows.
 *     I5  A rate limit lets no more pass in any time than burst + rate x time.
 *     I6  No attempt begins after its call's deadline.
 */

const target = fc.constantFrom("products", "products#1", "products#2", "payments", "payments#1", "products@v2");
const fault: fc.Arbitrary<Fault> = fc
  .record({
    kind: fc.constantFrom("stall", "slow", "error", "reset", "down", "hang"),
    from: fc.integer({ min: 0, max: 4_000 }),
    forMs: fc.integer({ min: 1, max: 1_500 }),
    share: fc.double({ min: 0.1, max: 1, noNaN: true }),
  })
  .map(({ kind, from, forMs, share }): Fault => {
    const when = { from, forMs };
    switch (kind) {
      case "stall":
        return { stallMs: forMs, from };
      case "slow":
        return { slowBy: 1 + share * 20, ...when };
      case "error":
        return { errorRate: share, ...when };
      case "reset":
        return { resetRate: share, ...when };
      case "down":
        return { down: true, ...when };
      default:
        return { hangRate: share, ...when };
    }
  });

const policy = fc.record({
  balancer: fc.constantFrom(...BALANCER_KINDS),
  retries: fc.integer({ min: 0, max: 3 }),
  timeout: fc.integer({ min: 20, max: 800 }),
  perTry: fc.integer({ min: 5, max: 300 }),
  perEndpoint: fc.integer({ min: 1, max: 20 }),
  inFlight: fc.integer({ min: 2, max: 60 }),
  breaker: fc.boolean(),
  hedge: fc.constantFrom<false | string>(false, "30ms", "p95"),
  outlier: fc.boolean(),
  slowStart: fc.boolean(),
  concurrency: fc.constantFrom("off", "gradient2", "vegas", "aimd", "bbr" as const),
  enforcedBy: fc.constantFrom("server", "caller", "both" as const),
  fault: fc.boolean(),
  cache: fc.boolean(),
  fallback: fc.constantFrom("none", "static", "stale", "service" as const),
  queue: fc.constantFrom("none", "in-flight", "spaced", "sliding" as const),
});
type Policy = typeof policy extends fc.Arbitrary<infer P> ? P : never;

/** 1 + 3 retries + 1 hedge + 1 at the stand-by service. */
const MOST_ATTEMPTS = 6;

function resourcesOf(chosen: Policy): ResourceInput[] {
  const { balancer, retries, timeout, perTry, perEndpoint, inFlight, breaker, concurrency, enforcedBy, queue } = chosen;
  const hashed = balancer === "ring-hash" || balancer === "maglev";
  let products = traffic("products")
    .timeout(timeout, perTry)
    .retry(retries)
    .hedge(chosen.hedge)
    .balancer(balancer, {
      ...(hashed && { hash: [{ by: "header", name: "x-user" }], boundedLoad: 1.25 }),
      ...(chosen.slowStart && /^(p2c|least-request|weighted-.*)$/.test(balancer) && { slowStart: { window: "2s" } }),
    })
    .limits({ maxInFlight: inFlight, maxInFlightPerEndpoint: perEndpoint })
    .breaker(breaker ? { consecutiveFailures: 3, sleep: "200ms" } : false)
    .outlier(chosen.outlier ? { consecutive5xx: 3, interval: "500ms", baseEjectionTime: "500ms" } : false)
    .cache(chosen.cache ? { staleWhileRevalidate: "1s", staleIfError: "2s" } : false);
  if (concurrency === "bbr") products = products.concurrency("bbr");
  else if (concurrency !== "off") products = products.concurrency(concurrency, { enforcedBy, initial: 5, min: 1 });
  if (chosen.fault) {
    products = products.fault({
      delay: { min: "1ms", max: "40ms", percent: 20 },
      abort: { status: 503, percent: 5 },
      reset: { percent: 3 },
      throttle: { bytesPerSecond: 50_000, percent: 20 },
    });
  }
  if (chosen.fallback === "static") products = products.fallback({ body: "none" });
  if (chosen.fallback === "stale" && chosen.cache) products = products.fallback({ stale: true });
  if (chosen.fallback === "service") products = products.fallback({ service: "payments" });
  const limit = rateLimit("products").by("address");
  return [
    route("/v1").to({ "products@v1": 3, "products@v2": 1 }),
    route("/pay").to("payments"),
    products,
    ...(queue === "in-flight" ? [limit.inFlight(8, { queue: 10, maxWait: "50ms" })] : []),
    ...(queue === "spaced" ? [limit.allow(120).burst(5).spaced("100ms")] : []),
    ...(queue === "sliding" ? [limit.allow(60).sliding()] : []),
    traffic("payments").timeout("300ms").breaker({ failureRatio: 0.3, minRequests: 5, sleep: "100ms" }),
    rateLimit("payments").allow(40, "1s").burst(10),
  ];
}

const scenario = fc.record({
  seed: fc.integer(),
  policies: fc.array(policy, { minLength: 1, maxLength: 3 }),
  faults: fc.array(fc.tuple(target, fault), { maxLength: 6 }),
  cancels: fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 30 }),
  churn: fc.array(fc.tuple(fc.integer({ min: 1, max: 4_000 }), fc.constantFrom("add", "remove", "sick", "well")), {
    maxLength: 6,
  }),
});

test("whatever goes wrong, what was counted in is counted out and no limit is exceeded", async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ seed, policies, faults, cancels, churn }) => {
      const world = new SimWorld(
        {
          services: {
            products: {
              latencyMs: { logNormal: { p50: 10, p99: 120 } },
              concurrency: 3,
              maxWaiting: 20,
              above: "share",
              networkMs: 1,
              connectMs: 1,
              reportsLoad: true,
              answer: () => ({ fields: { "cache-control": "max-age=1" }, body: "x".repeat(2_000) }),
              calls: ["payments"],
              versions: { v1: { replicas: 2 }, v2: {} },
            },
            payments: { replicas: 2, latencyMs: { exponential: 8 } },
          },
          resources: resourcesOf(policies[0]),
        },
        { seed },
      );
      const watch = new Watch(world);
      for (const [where, what] of faults) world.fault(where, what);
      world.fault("payments", { errorRate: 0.8, from: 500, forMs: 2_000 }); // so that its breaker opens and probes
      policies.slice(1).forEach((next, i) => {
        world.events.after((i + 1) * 1_300, () => {
          world.apply(resourcesOf(next));
          watch.limits = null; // calls under the policy before may be under way
        });
      });
      const products = world.endpoints("products");
      for (const [at, what] of churn) {
        world.events.after(at, () => {
          if (what === "add") products.add({ version: "v2" });
          else if (what === "remove" && products.list().length > 1) products.remove(products.list()[0]);
          else if (what === "sick") products.health("#1", "unhealthy");
          else products.health("#1", "healthy");
        });
      }
      watch.limits = policies[0];
      // Callers who go away, beside the load.
      for (const after of cancels) {
        world.events.after(after * 9, () => void world.call("GET /v1/c", { cancelAfterMs: after % 40 }));
      }
      const seen = await world.load(REQUESTS, {
        perSecond: 150,
        forMs: 4_000,
      });
      assert.ok(seen.calls > 400);
      await world.advance(20_000);
      watch.end();
      // What gates count has been counted out, too: as many calls as a limit lets through at once pass again.
      const atOnce = policies.at(-1)?.concurrency === "off" ? 5 : 1;
      watch.limits = null;
      const calls = await Promise.all(Array.from({ length: atOnce }, (_, i) => world.call(`GET /v1/again${i}`)));
      for (const { decision } of calls) {
        const refused = decision.steps.filter(({ rule, verdict }) => verdict === "denied" && GATES.has(rule));
        assert.deepEqual(refused, [], "I1: a gate still counts what has ended");
      }
    }),
    { numRuns: 25 },
  );
});

const GATES: ReadonlySet<string> = new Set(["limit", "concurrency", "admission"]);

const REQUESTS: readonly (string | RequestSpec)[] = [
  "GET /pay",
  { path: "/v1/b", deadlineMs: 60 },
  ...Array.from({ length: 4 }, (_, i) => ({
    path: `/v1/a${i}`,
    headers: { "x-user": `user-${i}` },
    peerAddress: `10.9.0.${i}:1`,
  })),
  { path: "/v1/c", method: "POST", body: "y".repeat(100) },
];

/** Looks at every decision, at every attempt that arrives, and at the state between events. */
class Watch {
  readonly #world: SimWorld;
  limits: Policy | null = null;
  readonly #passed: number[] = [];
  readonly #probes = new Map<SimProcess, SimAttempt>();
  #calls = 0;
  #retries = 0;
  #lastRetryAt = 0;

  constructor(world: SimWorld) {
    this.#world = world;
    const { ended } = world;
    world.ended = (decision) => {
      ended.call(world, decision);
      this.#decided(decision as CallDecision);
      this.#look();
    };
    for (const replica of world.topology.find("payments")) {
      const { serve } = replica;
      replica.serve = (attempt) => {
        this.#arrived(attempt);
        serve.call(replica, attempt);
      };
    }
  }

  #decided({ attempts, startedAt, service, place, notes, deadline }: CallDecision): void {
    for (const attempt of attempts) assert.ok(attempt.startedAt <= deadline, "I6");
    if (place !== "gateway") return;
    if (service === "products" && attempts.length > 0) {
      this.#calls++;
      const before = this.#retries;
      this.#retries += attempts.filter(({ kind }) => kind === AttemptKind.retry).length;
      assert.ok(attempts.length <= MOST_ATTEMPTS, `I4: ${attempts.length} attempts`);
      if (this.#retries > before) this.#lastRetryAt = this.#world.now;
    }
    if (notes.some(({ gate, verdict }) => gate?.source === "RateLimit payments" && verdict === "ok")) {
      this.#pass(startedAt);
    }
  }

  /** I2: what arrives while the breaker is half-open is the probe. */
  #arrived(attempt: SimAttempt): void {
    const { process } = attempt.call;
    const [state] = process.policy.describe("payments", 0);
    if (state?.breaker !== "half-open") return;
    const before = this.#probes.get(process);
    assert.ok(before === undefined || before.done, "I2: a second probe");
    this.#probes.set(process, attempt);
  }

  /** I5: in any time up to now. */
  #pass(now: number): void {
    this.#passed.push(now);
    this.#passed.sort((a, b) => a - b); // they are told of as they end
    for (let i = this.#passed.length - 1; i >= 0; i--) {
      const forMs = (this.#passed.at(-1) as number) - this.#passed[i];
      const count = this.#passed.length - i;
      assert.ok(count <= 10 + (40 * forMs) / 1_000 + 1e-6, `I5: ${count} in ${forMs} ms`);
    }
  }

  #look(): void {
    if (this.limits === null) return;
    const { perEndpoint, inFlight: most } = this.limits;
    const byVersion = new Map<string, number>();
    for (const { endpoint, inFlight } of this.#world.process("gateway", "gateway").policy.describe("products", 0)) {
      assert.ok(inFlight <= perEndpoint, `I3: ${inFlight} at ${endpoint.id}, ${perEndpoint} allowed`);
      byVersion.set(endpoint.version, (byVersion.get(endpoint.version) ?? 0) + inFlight);
    }
    for (const inFlight of byVersion.values())
      assert.ok(inFlight <= most, `I3: ${inFlight} in flight, ${most} allowed`);
  }

  end(): void {
    const most = 0.2 * this.#calls + 10 * (this.#lastRetryAt / 1_000 + 1);
    assert.ok(this.#retries <= most, `I4: ${this.#retries} retries of ${this.#calls} calls`);
    for (const { name, policy: decides } of this.#world.processes()) {
      for (const service of ["products", "payments"]) {
        for (const { endpoint, inFlight } of decides.describe(service, 0))
          assert.equal(inFlight, 0, `I1: ${endpoint.id} of ${name}`);
      }
    }
    for (const { id, inFlight } of this.#world.topology.all()) assert.equal(inFlight, 0, `I1: ${id} serves`);
    assert.equal(this.#world.events.size, 0, "I1: an event is left");
  }
}
