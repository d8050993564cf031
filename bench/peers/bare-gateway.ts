/**
 * The data plane without policy: every call goes to the next endpoint, once, and its answer comes back. What the gateway costs beside it is what
 * the default policy set costs (route, time-out, retry with its budget, breaker, P2C with peak EWMA, put-aside of dead endpoints, the record).
 *
 *     node bench/peers/bare-gateway.ts LISTEN BACKEND...
 */
import type { Endpoint } from "../../dist/core/endpoint.js";
import { type Call, type Decision, Effect, type EffectKind } from "../../dist/policy/index.js";
import type { PolicyRuntime } from "../../dist/policy/runtime.js";
import { startGateway } from "../../dist/proxy/gateway.js";

const [port, ...backends] = process.argv.slice(2).map(Number);
const endpoints = backends.map(
  (to): Endpoint => ({
    id: `backend-${to}`,
    service: "backend",
    host: "127.0.0.1",
    port: to,
    version: "",
    zone: "",
    weight: 1,
    protocol: "h2c",
    health: "healthy",
    metadata: {},
  }),
);
let turn = 0;
const outcome = { status: 200, grpcStatus: 0, reason: "" };
const decision: Decision = {
  requestId: "",
  place: "gateway",
  revision: 0,
  endpointVersion: 0,
  startedAt: 0,
  durationMs: 0,
  route: "",
  service: "backend",
  steps: [],
  attempts: [],
  outcome,
  nearest: "",
};

class BareCall implements Call {
  #next: EffectKind = Effect.none;
  #then: EffectKind = Effect.none;
  attempt = 1;
  endpoint: Endpoint | null = null;
  readonly timeoutMs = Number.POSITIVE_INFINITY;
  readonly addFields = null;
  readonly removeFields = null;
  readonly rewritePath = "";
  readonly rewriteAuthority = "";
  readonly timerId = 0;
  readonly timerMs = 0;
  readonly queryId = 0;
  readonly query = null;
  readonly store = null;
  readonly response = null;
  ended = false;
  committed = false;
  readonly replayable = false;
  readonly decision = decision;

  begin(): void {
    this.endpoint = endpoints[turn++ % endpoints.length];
    this.#next = Effect.forward;
  }
  head(_attempt: number, _status: number, _fields: readonly string[], fin: boolean): void {
    this.committed = true;
    this.#next = Effect.deliver;
    if (fin) this.#finish();
  }
  responseData(_attempt: number, _bytes: number, fin: boolean): void {
    if (fin) this.#finish();
  }
  trailers(): void {
    this.#finish();
  }
  failed(): void {
    this.#finish();
  }
  downstreamGone(): void {
    this.#finish();
  }
  #finish(): void {
    this.ended = true;
    if (this.#next === Effect.none) this.#next = Effect.end;
    else this.#then = Effect.end;
  }
  next(): EffectKind {
    const effect = this.#next;
    this.#next = this.#then;
    this.#then = Effect.none;
    return effect;
  }
  answered(): void {}
  requestData(): void {}
  requestEnd(): void {}
  connected(): void {}
  timer(): void {}
  credit(): void {}
  carried(): void {}
  sessionEnd(): void {}
}

const policy = {
  revision: 0,
  endpointVersion: 0,
  applyResources() {},
  applyEndpoints() {},
  createCall: () => new BareCall(),
  release() {},
  backendsOf: () => [],
  describe: () => [],
} as unknown as PolicyRuntime;

await startGateway({ listen: { port }, admin: null, policy, accessLog: "off" });
