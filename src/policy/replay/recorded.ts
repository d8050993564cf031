import type { Endpoint } from "../../core/endpoint.ts";
import type { AttemptFailure, AttemptRecord, Place } from "../call.ts";
import type { TapeRecord } from "../machine/tape.ts";
import type { Resource } from "../resource/resources.ts";
import type { MethodInfo } from "../runtime.ts";

/**
 * What a recording consists of, one line of JSON each. A segment begins with `start` and the whole state, so that it can be replayed without those before it:
 *
 *     start   resources   endpoints(full)   { call | endpoints | resources | lost }*
 *
 * Calls are written when they have ended; what they began under is told by `snapshot`.
 */
export type RecordedLine = RecordedStart | RecordedResources | RecordedEndpoints | RecordedCall | RecordedLoss;

export const RECORDING_VERSION = 1;

export interface RecordedStart {
  readonly t: "start";
  readonly version: typeof RECORDING_VERSION;
  /** Who recorded: "gateway". */
  readonly process: string;
  /** Of the clock in which events are told; epoch ms at its 0. */
  readonly at: number;
  readonly wallAt: number;
  /** Where the process runs, for balancers that go by zones. */
  readonly zone: string;
  readonly service: string;
  /** The share of calls that is recorded, 0..1. */
  readonly sample: number;
  readonly redacted: boolean;
  /** Of the hashes that stand for redacted values (redactor.ts). */
  readonly salt: string;
}

export interface RecordedResources {
  readonly t: "resources";
  readonly at: number;
  /** Counts the snapshots of a segment. */
  readonly snapshot: number;
  readonly revision: number;
  readonly resources: readonly Resource[];
  readonly methods: readonly MethodInfo[];
}

export interface RecordedEndpoints {
  readonly t: "endpoints";
  readonly at: number;
  readonly version: number;
  readonly full: boolean;
  readonly changed: readonly Endpoint[];
  readonly removed: readonly { readonly id: string; readonly service: string }[];
}

/** Calls that were not recorded since there was no room, or since they had too many events. */
export interface RecordedLoss {
  readonly t: "lost";
  readonly calls: number;
}

export interface RecordedCall {
  readonly t: "call";
  /** When it began. */
  readonly at: number;
  readonly snapshot: number;
  readonly request: RecordedRequest;
  readonly asSent: RecordedRequest | null;
  readonly context: RecordedContext;
  readonly bodyFollows: boolean;
  readonly events: readonly RecordedEvent[];
  readonly tape: TapeRecord;
  /** What came of it. */
  readonly decision: RecordedDecision;
}

export interface RecordedRequest {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly protocol: string;
  readonly fields: readonly string[];
}

export interface RecordedContext {
  readonly place: Place;
  readonly service: string;
  readonly peerAddress: string;
  readonly peerIdentity: string;
  readonly secure: boolean;
  /** On the recorder's clock; null for none. */
  readonly deadline: number | null;
  readonly callerAttempt: number;
  readonly requestId: string;
  /** Request message fields that policy asked for, as it got them. */
  readonly message: Readonly<Record<string, string>>;
}

/** [what, when, ...] as in policy/call.ts; only what a machine acts on. */
export type RecordedEvent =
  | readonly ["answered", number, string, unknown]
  | readonly ["requestData", number, number]
  | readonly ["requestEnd", number]
  | readonly ["connected", number, number]
  | readonly ["head", number, number, number, readonly string[], boolean]
  | readonly ["responseData", number, number, number, boolean]
  | readonly ["trailers", number, number, readonly string[]]
  | readonly ["failed", number, number, AttemptFailure]
  | readonly ["timer", number, number]
  | readonly ["woken", number]
  | readonly ["downstreamGone", number]
  | readonly ["sessionEnd", number];

/** A decision without the texts that would repeat what the caller sent. */
export interface RecordedDecision {
  readonly requestId: string;
  readonly place: string;
  readonly revision: number;
  readonly endpointVersion: number;
  readonly durationMs: number;
  readonly route: string;
  readonly service: string;
  /** "products@v1": the backend that the route chose, "" when it came to none. */
  readonly backend: string;
  readonly steps: readonly {
    readonly rule: string;
    readonly verdict: string;
    readonly source: string;
    readonly text: string;
  }[];
  readonly attempts: readonly AttemptRecord[];
  readonly outcome: { readonly status: number; readonly grpcStatus: number; readonly reason: string };
  readonly splitDraw: number;
}
