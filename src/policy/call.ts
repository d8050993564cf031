import type { ConnectionBounds } from "../core/connection-bounds.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { WeftError } from "../core/errors.ts";
import type { Principal } from "./machine/principal.ts";
import type { Query } from "./machine/query.ts";

/**
 * The call machine's interface: what a shell tells it and what it tells a shell. One machine a call; it awaits nothing, owns no
 * timer and no socket. `createCall` in call-machine.ts makes one.
 *
 * Events are methods that take `now` (monotonic ms) last. After every event the shell drains effects:
 *
 *     for (let effect = call.next(); effect !== Effect.none; effect = call.next()) carryOut(effect)   // parameters are in call's fields
 *
 * Pulling keeps the machine free of allocation and of re-entrancy: it has finished changing its state before any effect is carried out.
 *
 *                  begin
 *     idle ---------------> deciding --(query)--> waiting --answered--> deciding
 *                              |  respond (route, auth, limit, breaker: no attempt was made)
 *                              v
 *          forward(attempt) -> trying --head(ok)/deliver--> committed --trailers--> ended
 *                              ^    |failed / retryable head                       |failed after commit: reset downstream
 *                              |    v                                              v
 *                              +- waiting for back-off (timer) --budget, deadline, attempts spent--> respond --> ended
 */
export interface Call {
  // --- events -------------------------------------------------------------------------------------------------
  /** The request's head. Streams whose body has not ended yet say so with `bodyFollows`. */
  begin(request: CallRequest, context: CallContext, bodyFollows: boolean, now: number): void;
  /** The answer to the query in `queryId`; null is a failure or time-out of what was asked. */
  answered(queryId: number, result: unknown, now: number): void;
  /** Request body bytes arrived from downstream. */
  requestData(bytes: number, now: number): void;
  requestEnd(now: number): void;
  /** The attempt got a connection (or a stream on one). `secure`: over mutual TLS with the endpoint that was meant. */
  connected(attempt: number, now: number, secure?: boolean): void;
  /** The attempt's final response head. `fin`: nothing follows (for gRPC: trailers-only, `fields` hold grpc-status). */
  head(attempt: number, status: number, fields: readonly string[], fin: boolean, now: number): void;
  responseData(attempt: number, bytes: number, fin: boolean, now: number): void;
  trailers(attempt: number, fields: readonly string[], now: number): void;
  /** The attempt failed without a complete response. */
  failed(attempt: number, failure: AttemptFailure, now: number): void;
  timer(timerId: number, now: number): void;
  /** `waker` was told: the call may go on, before a timer of its own says so. */
  woken(now: number): void;
  /** Downstream can take `bytes` more. */
  credit(bytes: number, now: number): void;
  /** The caller cancelled or went away. */
  downstreamGone(now: number): void;
  /** Sessions (WebSocket, CONNECT) after the switch: bytes carried each way since last told; both sides closed. */
  carried(toUpstream: number, toDownstream: number, now: number): void;
  sessionEnd(now: number): void;

  // --- effects ------------------------------------------------------------------------------------------------
  /** The next effect, or Effect.none. Its parameters are in the fields below until the next call of next(). */
  next(): EffectKind;
  /** forward, replayBody, cancel, deliver: which attempt, counted from 1. */
  readonly attempt: number;
  /** forward, mirror: where to. */
  readonly endpoint: Endpoint | null;
  /** forward: ms this try may take, Infinity when unlimited. Enforced by the machine's own timer; told so that it can travel (grpc-timeout). */
  readonly timeoutMs: number;
  /** forward, mirror: changes of the request's header by route and policy; deliver: of the response's. Flat; names to take out; null when there are none. */
  readonly addFields: readonly string[] | null;
  readonly removeFields: readonly string[] | null;
  /** forward: it does again what an attempt before it was to do, at the same service: a retry or a hedge. */
  readonly repeats: boolean;
  /** forward: how much the endpoint's connections may take; null for the pool's own limits. */
  readonly bounds: ConnectionBounds | null;
  /** forward, of a session: the version of the PROXY protocol by which the endpoint is told who connected; "" for none. */
  readonly proxyProtocol: "" | "v1" | "v2";
  /** forward: the path to send, when a route rewrites it; otherwise "". */
  readonly rewritePath: string;
  /** forward: the authority to send, when a route rewrites it; otherwise "". */
  readonly rewriteAuthority: string;
  /** startTimer, cancelTimer: a small integer, below 32. A started timer fires once: call timer(id). Starting a running one restarts it. */
  readonly timerId: number;
  readonly timerMs: number;
  /** query: what is asked, and the number under which it is answered. */
  readonly queryId: number;
  readonly query: Query | null;
  /** deliver: where a copy of the response's body goes, null when nobody wants one. */
  readonly store: BodyStore | null;
  /** deliver: how fast the body may go downstream; 0 is unlimited. */
  readonly bytesPerSecond: number;
  /** respond: what the caller gets when no attempt's answer is delivered. The shell turns it into HTTP, gRPC or a thrown error. */
  readonly response: LocalResponse | null;

  /** Set by the shell when it has the machine: told when the end of another call lets this one go on (a queue at a gate). Null: nobody is told, and
   * the call goes on only when its time in the queue is over. */
  set waker(waker: Waker | null);

  /** accept: whoever calls, as gates established it, and how much the call matters. */
  readonly principal: Principal;
  readonly priority: number;

  // --- end ----------------------------------------------------------------------------------------------------
  /** True from the effect that ended the call. */
  readonly ended: boolean;
  /** True once an attempt is being delivered: nothing is retried any more. The shell keeps the request body for replay until then
   * (and while `replayable`). */
  readonly committed: boolean;
  /** False once the request body outgrew the replay buffer (or retries are off): the shell may forget body bytes it has sent. */
  readonly replayable: boolean;
  /** What was decided and why; complete after `ended`. */
  readonly decision: Decision;
}

/** Small integers, so that a shell switches on them. */
export const Effect = {
  none: 0,
  /** Ask the outside (`query`); answer with answered(). Time-outs are the machine's. */
  query: 1,
  /** Open an attempt at `endpoint` and send the request head (with changes), then body as it comes. */
  forward: 2,
  /** Send the kept request body on `attempt`, from its start. Follows forward when body bytes came before. */
  replayBody: 3,
  /** Abort the attempt (RST_STREAM CANCEL); nothing more of it is wanted. */
  cancel: 4,
  startTimer: 5,
  cancelTimer: 6,
  /** From now on the attempt's response goes downstream, its head first. */
  deliver: 7,
  /** Answer locally with `response`; no attempt's answer is delivered. */
  respond: 8,
  /** Send a copy of the request to `endpoint`, response ignored. */
  mirror: 9,
  pauseRequest: 10,
  resumeRequest: 11,
  pauseResponse: 12,
  resumeResponse: 13,
  /** After delivery began the upstream failed: tell downstream by a reset (HTTP) or by trailers (gRPC), `response` says why. */
  abort: 14,
  /** The call is over; `decision` is complete. Always the last effect, exactly once. */
  end: 15,
  /** At place "server": the call may be handled. Its answer is told by head, responseData and trailers of attempt 0. */
  accept: 16,
  /** Begin another call for the same request without a caller (CallContext.refresh): its answer renews what a gate keeps. `addFields` and `removeFields` are
   * what gates changed in the request. A shell that cannot may leave it. */
  refresh: 17,
} as const;
export type EffectKind = (typeof Effect)[keyof typeof Effect];

/** Takes a copy of a response's body while it is delivered. Of `end` and `abort` one is called, once. */
export interface BodyStore {
  /** The shell turned the response into another (a gRPC call's into REST's): its status, which of the fields that the machine saw it has, and what it has
   * besides. Before data. */
  head(status: number, has: (name: string) => boolean, add: readonly string[]): void;
  data(chunk: Uint8Array, start: number, end: number): void;
  end(): void;
  abort(): void;
}

/** Where a call is decided: the typed client, an outbound sidecar, the gateway, or (inbound) the server and its sidecar. */
export type Place = "client" | "sidecar" | "gateway" | "server";

/** Hears that a call can go on. Must not tell the machine at once, since another one is about to change its state: `woken` comes soon after. */
export interface Waker {
  wake(): void;
}

/** wire's Head satisfies it; typed clients build one a method. */
export interface CallRequest {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly protocol: string;
  readonly fields: readonly string[];
  /** The machine keeps its route match here, tagged with the snapshot, so that an interned head is matched once. */
  memo: unknown;
}

export interface CallContext {
  /** At "server" only gates hold: the machine ends its part with the effect `accept`, or, in a sidecar, goes on to the application (PolicyRuntime.forwardTo). */
  readonly place: Place;
  /** The service, when the caller knows it (typed client; transcoded REST); "" lets the routes decide. A contract's full name
   * ("counter.v1.Counter") is also understood. */
  readonly service: string;
  /** The request as the caller sent it, when the gateway turned it into another (REST transcoded to gRPC): explicit routes match on this one,
   * what a method's contract says (idempotent, implicit route) comes from the request itself. Null: nothing was turned. */
  readonly asSent: CallRequest | null;
  readonly peerAddress: string;
  readonly peerIdentity: string;
  readonly secure: boolean;
  /** Absolute, on the clock of `now`; Infinity when the caller set none. */
  readonly deadline: number;
  /** A field of the request message as text, "order.customer_id"; undefined when the message has none of that name. Absent where the message is not
   * known: requests that are passed through as bytes. */
  readonly messageField?: (path: string) => string | undefined;
  /** Fields of the request beside its own (a typed client's metadata), flat; they are sent with it, and rules may look at them. */
  readonly extraFields?: readonly string[] | null;
  /** Number of the caller's attempt when an authenticated peer sent one (then this hop does not retry), else 0. */
  readonly callerAttempt: number;
  /** Who says so knows that messages stream one way or both, should the method not be known otherwise. */
  readonly streams?: boolean;
  readonly requestId: string;
  /** True for a call that the effect `refresh` asked for. */
  readonly refresh?: boolean;
}

export interface AttemptFailure {
  /** "connect" no connection; "reset" RST_STREAM or connection lost after the request was sent; "refused" certainly not processed;
   * "protocol" an answer that cannot be understood; "overflow" no stream or connection to be had within limits. */
  readonly kind: "connect" | "reset" | "refused" | "protocol" | "overflow";
  /** True when the server certainly did not act. */
  readonly unprocessed: boolean;
  readonly message: string;
}

export interface LocalResponse {
  /** null: an ordinary answer (fallback, redirect, CORS preflight) rather than an error. */
  readonly error: WeftError | null;
  readonly status: number;
  readonly fields: readonly string[];
  readonly body: Uint8Array | null;
  /** The caller's stream is reset instead (HTTP/2 RST_STREAM; over HTTP/1.1 the connection closes). Typed clients throw `error`. */
  readonly reset?: boolean;
}

/** The record of one call. Plain data, JSON-ready. */
export interface Decision {
  readonly requestId: string;
  readonly place: string;
  readonly revision: number;
  readonly endpointVersion: number;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly route: string;
  readonly service: string;
  /** Everything met, in order. `verdict`: "ok" | "denied" | "chosen" | "skipped" | "failed" | "audit" | "shadow". */
  readonly steps: readonly DecisionStep[];
  readonly attempts: readonly AttemptRecord[];
  readonly outcome: { readonly status: number; readonly grpcStatus: number; readonly reason: string };
  /** What answered in place of the service: "static", "stale", "service", "function"; "" or absent when nothing did. */
  readonly fallback?: string;
  /** The caller sent REST that was turned into gRPC: `outcome.grpcStatus` became an HTTP status for it. Absent: false. */
  readonly rest?: boolean;
  /** Bytes of a session (WebSocket, tunnel, TCP, UDP) that its caller sent and got; absent for other calls. */
  readonly carried?: { readonly sent: number; readonly received: number };
  /** For the typed client, while the decision is valid: a function of the caller's answers instead. */
  answeredByFunction?(): void;
  /** The nearest change that would have turned it round, "" when it succeeded. */
  readonly nearest: string;
}

export interface DecisionStep {
  readonly rule: string;
  readonly verdict: string;
  readonly text: string;
  /** The resource that it comes from: "RateLimit orders", "HTTPRoute/products", "the default"; "" or absent when it has none. */
  readonly source?: string;
  /** State and random draws that were read. */
  readonly values: Readonly<Record<string, number | string>>;
}

export interface AttemptRecord {
  readonly number: number;
  readonly endpoint: string;
  readonly address: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly outcome: string;
  /** Why this endpoint: "P2C: chosen over products-1 (ewma 4.1 ms x 3 < 9.0 ms x 2)". */
  readonly why: string;
}
