import type { Endpoint } from "../../core/endpoint.ts";
import { seededRandom } from "../../core/random.ts";
import { type Call, type CallContext, type CallRequest, Effect, type EffectKind } from "../call.ts";
import type { Resource } from "../resource/resources.ts";
import type { MethodInfo, PolicyRuntime } from "../runtime.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";

/** For tests of calls: requests, contexts, endpoints, and a shell that records effects. */

export function endpoint(id: string, parts: Partial<Endpoint> = {}): Endpoint {
  const service = id.replace(/-\d+$/, "");
  const port = 9_000 + Number(/\d+$/.exec(id)?.[0] ?? 0);
  const rest = { version: "", zone: "", weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const;
  return { id, service, host: "10.0.0.1", port, ...rest, ...parts };
}

export const METHODS: readonly MethodInfo[] = [
  { path: "/p.Products/Get", service: "products", idempotent: true, clientStreaming: false, serverStreaming: false },
  { path: "/p.Products/Buy", service: "products", idempotent: false, clientStreaming: false, serverStreaming: false },
  { path: "/p.Products/Watch", service: "products", idempotent: true, clientStreaming: false, serverStreaming: true },
];

export function grpc(path: string): CallRequest {
  return {
    method: "POST",
    scheme: "http",
    authority: "shop",
    path,
    protocol: "",
    fields: ["content-type", "application/grpc"],
    memo: null,
  };
}

export function http(method: string, path: string, fields: readonly string[] = [], authority = "shop"): CallRequest {
  return { method, scheme: "http", authority, path, protocol: "", fields, memo: null };
}

export function context(parts: Partial<CallContext> = {}): CallContext {
  return {
    place: "gateway",
    service: "",
    asSent: null,
    peerAddress: "10.1.1.1:4000",
    peerIdentity: "",
    secure: false,
    deadline: Number.POSITIVE_INFINITY,
    callerAttempt: 0,
    requestId: "id",
    ...parts,
  };
}

export interface World {
  resources?: readonly Resource[];
  endpoints?: readonly Endpoint[];
  seed?: number;
}

export function world({ resources = [], endpoints, seed = 1 }: World = {}): PolicyRuntime {
  const runtime = createPolicyRuntime({ random: seededRandom(seed), record: "all" });
  runtime.applyResources(1, resources, METHODS);
  const changed = endpoints ?? [endpoint("products-1"), endpoint("products-2"), endpoint("products-3")];
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  return runtime;
}

export interface Seen {
  readonly kind: EffectKind;
  readonly attempt: number;
  readonly endpoint: string;
  readonly timerId: number;
  readonly timerMs: number;
}

/** A call with what its machine wanted so far. */
export class TestCall {
  readonly call: Call;
  readonly seen: Seen[] = [];
  /** Timers that run. */
  readonly timers = new Map<number, number>();
  now: number;

  constructor(runtime: PolicyRuntime, now = 0) {
    this.call = runtime.createCall();
    this.now = now;
  }

  begin(request: CallRequest, parts: Partial<CallContext> = {}, bodyFollows = false): this {
    this.call.begin(request, context(parts), bodyFollows, this.now);
    return this.drain();
  }

  head(attempt: number, status: number, fields: readonly string[] = [], fin = true): this {
    this.call.head(attempt, status, fields, fin, this.now);
    return this.drain();
  }

  fail(attempt: number, kind: "connect" | "reset" | "refused" | "protocol" | "overflow" = "connect"): this {
    const unprocessed = kind !== "reset" && kind !== "protocol";
    this.call.failed(attempt, { kind, unprocessed, message: `${kind} of attempt ${attempt}` }, this.now);
    return this.drain();
  }

  /** Moves on and fires what falls due, in order. */
  advance(ms: number): this {
    const until = this.now + ms;
    for (;;) {
      let next: [number, number] | null = null;
      for (const timer of this.timers) if (timer[1] <= until && (next === null || timer[1] < next[1])) next = timer;
      if (next === null) break;
      this.now = Math.max(this.now, next[1]);
      this.timers.delete(next[0]);
      this.call.timer(next[0], this.now);
      this.drain();
    }
    this.now = until;
    return this;
  }

  drain(): this {
    const { call } = this;
    for (let kind = call.next(); kind !== Effect.none; kind = call.next()) {
      this.seen.push({
        kind,
        attempt: call.attempt,
        endpoint: call.endpoint?.id ?? "",
        timerId: call.timerId,
        timerMs: call.timerMs,
      });
      if (kind === Effect.startTimer) this.timers.set(call.timerId, this.now + call.timerMs);
      if (kind === Effect.cancelTimer) this.timers.delete(call.timerId);
    }
    return this;
  }

  count(kind: EffectKind): number {
    return this.seen.filter((seen) => seen.kind === kind).length;
  }

  /** Where its attempts went. */
  get endpoints(): string[] {
    return this.seen.filter(({ kind }) => kind === Effect.forward).map((seen) => seen.endpoint);
  }

  get reason(): string {
    return this.call.decision.outcome.reason;
  }
}
