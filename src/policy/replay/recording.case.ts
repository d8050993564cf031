import { seededRandom } from "../../core/random.ts";
import { authorization, rateLimit, route, traffic } from "../builders.ts";
import { endpoint, grpc, http, METHODS, TestCall } from "../machine/call.case.ts";
import type { Resource } from "../resource/resources.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { CallRecorder } from "./call-recorder.ts";
import type { RecordedLine } from "./recorded.ts";

/** For tests of recordings: worlds in which much happens, recorded. */

export interface World {
  readonly resources: readonly Resource[];
  readonly seed: number;
  readonly redact: boolean;
}

/** Calls in a world that changes under them (unless it is `steady`), recorded; lines went through JSON. */
export function record({ resources, seed, redact }: World, steps: number, steady = false): RecordedLine[] {
  const lines: RecordedLine[] = [];
  const random = seededRandom(seed);
  const runtime = createPolicyRuntime({ random: seededRandom(seed + 1) });
  runtime.applyResources(1, resources, METHODS);
  const all = [1, 2, 3, 4].map((n) => endpoint(`products-${n}`, { version: n % 2 === 0 ? "v2" : "v1" }));
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed: all, removed: [] });
  let now = 1_000;
  const write = (line: RecordedLine): void => void lines.push(JSON.parse(JSON.stringify(line)));
  const recorder = new CallRecorder({ write, now: () => now, random, salt: "s", redact });
  runtime.record(recorder);
  let version = 1;
  const open: TestCall[] = [];
  const woken: TestCall[] = [];
  const wake = (): void => {
    for (const call of woken.splice(0)) {
      if (call.call.ended) continue;
      call.call.woken(now);
      call.drain();
    }
  };
  const pick = (count: number): number => Math.floor(random.next() * count);
  for (let i = 0; i < steps; i++) {
    // In small steps, so that what happens to one call happens before what happens later to another.
    for (const until = now + random.next() * 40; now < until; ) {
      now = Math.min(until, now + 1);
      for (const call of open) call.advance(now - call.now);
      wake();
    }
    const kind = pick(12);
    if (kind < 4 || open.length === 0) {
      const path = pick(2) === 0 ? "/p.Products/Get" : "/p.Products/Buy";
      const request =
        pick(3) === 0
          ? http("GET", "/v1/x?lane=blue&q=secret", ["x-lane", "blue", "x-user", `user-${pick(3)}`])
          : grpc(path);
      const context = { requestId: `r-${i}`, ...(request.method === "GET" ? {} : { service: "products" }) };
      const call = new TestCall(runtime, now);
      call.call.waker = { wake: () => woken.push(call) };
      open.push(call.begin(request, context));
    } else if (kind === 4 && !steady) {
      const one = all[pick(4)];
      const away = pick(2) === 0;
      version++;
      runtime.applyEndpoints({
        endpointVersion: version,
        full: false,
        changed: away ? [] : [{ ...one, port: 9_000 + pick(2) }],
        removed: away ? [{ id: one.id, service: one.service }] : [],
      });
    } else if (kind === 5 && !steady && pick(4) === 0)
      runtime.applyResources(version + 1, [...resources].reverse(), METHODS);
    else {
      const call = open[pick(open.length)];
      const attempts = call.endpoints.length;
      const attempt = attempts === 0 ? 0 : 1 + pick(attempts);
      const status = [200, 200, 503, 500][pick(4)];
      if (attempt === 0) call.call.downstreamGone(now);
      else if (pick(4) === 0) call.fail(attempt, (["connect", "reset", "refused"] as const)[pick(3)]);
      else call.head(attempt, status, status === 200 ? ["grpc-status", "0"] : ["retry-after", "1"], true);
      call.drain();
    }
    wake();
    for (const call of open.filter(({ call }) => call.ended)) {
      open.splice(open.indexOf(call), 1);
      runtime.release(call.call);
    }
  }
  for (const call of open) {
    call.call.downstreamGone(now);
    runtime.release(call.drain().call);
  }
  return lines;
}

export const WORLDS: readonly (readonly Resource[])[] = [
  [],
  traffic("products").timeout("200ms", "60ms").retry(2).breaker({ consecutiveFailures: 2, sleep: "50ms" }).resources(),
  [
    ...route("/v1").to({ "products@v1": 60, "products@v2": 40 }).resources(),
    ...rateLimit("products").allow(3, "200ms").byHeader("x-user").resources(),
    ...traffic("products").retry(2, { nonIdempotent: true }).limits({ maxInFlight: 6 }).resources(),
  ],
  [
    ...route("/v1").to("products").resources(),
    ...traffic("products")
      .timeout("300ms")
      .retry(1)
      .hedge("20ms", { max: 2 })
      .outlier({ consecutive5xx: 2, interval: "50ms", baseEjectionTime: "100ms", maxEjectionPercent: 50 })
      .breaker({ failureRatio: 0.6, minRequests: 4, sleep: "40ms" })
      .fault({ delay: { mean: "10ms", percent: 30 }, abort: { status: 503, percent: 10 } })
      .concurrency("vegas")
      .fallback({ status: 202 })
      .resources(),
  ],
  [
    ...route("/v1").to("products").resources(),
    ...traffic("products")
      .admission()
      .balancer("ring-hash", { hash: [{ by: "header", name: "x-user" }] })
      .idleTimeout("80ms")
      .resources(),
    ...rateLimit("products").inFlight(3, { queue: 2, maxWait: "30ms" }).resources(),
    ...authorization("products")
      .deny({ headers: [{ name: "x-user", equals: "user-1" }] })
      .allow({})
      .resources(),
  ],
];

/** Answers are kept, and calls wait for those of others; who plays the shell here gives no cache a body. */
export const CACHED: readonly Resource[] = [
  ...route("/v1").to("products").resources(),
  ...traffic("products").cache().retry(1).resources(),
];
