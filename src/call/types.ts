import type { BodyStore, CallContext, Decision, LocalResponse } from "../policy/call.ts";
import type { Head } from "../wire/head.ts";

/**
 * The one shell that carries calls for the typed client, the gateway and the sidecar: it feeds a call machine (policy/call.ts) and
 * carries out its effects over an upstream pool (net/types.ts). Implementation: carrier.ts (`createCarrier`).
 *
 *     typed client -> client.ts  \                        / pool.acquire -> connection.request -> upstream stream
 *     gateway      -> exchange   -> carrier.begin -> Call
 *     sidecar      -> exchange   /                        \ LocalResponse (policy said no, or a fallback)
 */
export interface Carrier {
  /**
   * Starts a call. `extra` are further fields for this call only (request id, traceparent, x-forwarded-for; flat, lower-case), sent with
   * every attempt; so `request` can stay an interned head. `fin`: the request has no body. Events for `downstream` may come before this
   * returns. The returned object takes the request's body and the caller's wishes.
   */
  begin(
    request: Head,
    extra: readonly string[] | null,
    context: CallContext,
    downstream: Downstream,
    fin: boolean,
  ): CarriedCall;
  /** Calls not yet ended. */
  readonly inFlight: number;
  /** Whether some policy looks at fields of request messages, so that contexts should have `messageField`. */
  readonly readsMessages?: boolean;
}

/** Where the answer goes. Exactly one of `onLocal`, a finished response (head ... fin or trailers), `onAbort` ends a call; then `onEnd`. */
export interface Downstream {
  /** The upstream's response head (final; or 1xx when forwarded; or 101/200 of an accepted upgrade, after which data flows both ways). */
  onHead(head: Head, fin: boolean): void;
  /** Body bytes [start, end), valid during the call only. The upstream may send no more than its window until CarriedCall.credit. */
  onData(chunk: Uint8Array, start: number, end: number, fin: boolean): void;
  onTrailers(head: Head): void;
  /** For a downstream that turns the response into another one: before onHead, where a copy of what it makes is wanted. Of `end` and `abort` it calls one. */
  takeStore?(store: BodyStore): void;
  /** Policy answered, or every attempt failed: nothing was delivered before. */
  onLocal(response: LocalResponse): void;
  /** The upstream failed after delivery began. */
  onAbort(response: LocalResponse): void;
  /** The upstream can take request bytes again after data() returned false. */
  onWritable(): void;
  /** Over. The decision is valid during the call only; `copyDecision` (policy/decision/decision.ts) keeps it. */
  onEnd(decision: Decision): void;
}

/** The request's side of a call. Not to be used after `onEnd`. */
export interface CarriedCall {
  /** Request body bytes, valid during the call only. False: wait for onWritable before sending more. */
  data(chunk: Uint8Array, start: number, end: number, fin: boolean): boolean;
  /** Request trailers (rare); they end the request. */
  trailers(head: Head): void;
  /** Downstream consumed so many response bytes: upstream may send as many more. */
  credit(bytes: number): void;
  /** The caller is gone or cancelled. */
  cancel(): void;
}

export type { CallContext, Decision, LocalResponse };
