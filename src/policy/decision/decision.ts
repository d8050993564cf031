import type { AttemptRecord, CallRequest, Decision, DecisionStep } from "../call.ts";
import type { Attempt } from "../machine/attempt.ts";
import type { Gate } from "../machine/gate.ts";
import type { FallbackKind } from "../resilience/policy-stats.ts";
import type { Binding, Plan, Snapshot } from "../snapshot/snapshot.ts";
import { describeSteps } from "./decision-steps.ts";
import { GateNote, type Verdict } from "./gate-note.ts";
import { nearestChange } from "./nearest.ts";

/**
 * The record of a call while its machine lives: plain numbers that the machine writes, and texts that are made of them only when somebody reads
 * them. Valid until the machine is released; `copyDecision` keeps it.
 */
export class CallDecision implements Decision {
  requestId = "";
  place = "";
  revision = 0;
  endpointVersion = 0;
  startedAt = 0;
  durationMs = 0;
  route = "";
  service = "";
  readonly attempts: Attempt[] = [];
  readonly outcome = { status: 0, grpcStatus: -1, reason: "" };
  /** Whether texts are wanted for this call. */
  explained = false;
  /** The caller sent REST, which was turned into gRPC. */
  rest = false;
  /** As the caller sent it; set when the journal takes the decision. */
  method = "";
  path = "";

  /** The request as the caller sent it, when texts are wanted. */
  sent: CallRequest | null = null;

  // what was met, in the order of the machine
  request = "";
  plan: Plan | null = null;
  /** Only where no route matched, and so there is no plan. */
  snapshot: Snapshot | null = null;
  binding: Binding | null = null;
  /** What the rule's CORS filter did, "" without one or without an origin; and the origin. */
  cors: "" | "preflight" | "preflight-denied" | "allowed" | "denied" = "";
  origin = "";
  /** Whether the call was part of a session with an endpoint: "gone" when the endpoint is. "" where rules keep none. */
  session: "" | "none" | "gone" | "kept" = "";
  /** Random number that chose the backend, -1 when there was nothing to choose. */
  splitDraw = -1;
  /** What gates did, in order; of the pool the first `noted`. */
  readonly #notes: GateNote[] = [];
  noted = 0;
  /** Absolute; Infinity when there is none. */
  deadline = Number.POSITIVE_INFINITY;
  /** The caller's deadline is nearer than policy's time-out. */
  deadlineOfCaller = false;
  /** Policy's time-out held until the answer began. */
  answerTimed = false;
  breakerRefused = false;
  /** Whose breaker refused: the service's, or its stand-by's. */
  breakerOf = "";
  breakerReopensMs = 0;
  noEndpoint: "" | "unhealthy" | "overflow" = "";
  /** The subset of endpoints that was wanted and is empty; "" when that is not why. */
  subset = "";
  /** Endpoints known of the backend's service, and of those the ones that are not healthy. */
  known = 0;
  /** Why the attempt after the last one was not made. */
  stop: RetryStop = "";
  leftMs = 0;
  neededMs = 0;
  budgetLeft = 0;
  budgetSize = 0;
  backoffMs = 0;
  backoffDraw = -1;
  /** The breaker that refused: what it counted, and failures in a row. */
  breakerCalls = 0;
  breakerFailures = 0;
  breakerSlow = 0;
  breakerConsecutive = 0;
  /** Processes by whose evidence it is open; 0: this one alone. */
  breakerVoters = 0;
  /** Ms after which a hedge was to be made, -1 when none was. */
  hedgeAfterMs = -1;
  hedgeBudgetLeft = 0;
  /** Why a hedge that policy wants was not made. */
  hedgeStop: HedgeStop = "";
  fallback: "" | FallbackKind = "";
  /** The stand-by service that was tried. */
  standby = "";
  /** A session (WebSocket, tunnel, TCP, UDP): bytes that its caller sent and got. */
  carries = false;
  sentBytes = 0;
  receivedBytes = 0;
  /** Ms without a byte either way that ended the call, 0 when that was not it. */
  idleMs = 0;

  /** Makes it as new. */
  reset(): void {
    while (this.attempts.length > 0) this.attempts.pop(); // setting length to 0 would drop the array's store
    this.route = this.service = this.request = this.origin = "";
    this.cors = this.session = "";
    this.plan = this.binding = this.sent = this.snapshot = null;
    this.noted = 0;
    this.splitDraw = this.backoffDraw = -1;
    this.breakerReopensMs = this.known = this.hedgeBudgetLeft = this.idleMs = 0;
    this.breakerCalls = this.breakerFailures = this.breakerSlow = this.breakerConsecutive = this.breakerVoters = 0;
    this.hedgeAfterMs = -1;
    this.hedgeStop = this.fallback = this.standby = "";
    this.leftMs = this.neededMs = this.budgetLeft = this.budgetSize = this.backoffMs = 0;
    this.deadline = Number.POSITIVE_INFINITY;
    this.explained = this.deadlineOfCaller = this.breakerRefused = false;
    this.noEndpoint = this.stop = this.subset = this.breakerOf = "";
    this.rest = this.answerTimed = this.carries = false;
    this.sentBytes = this.receivedBytes = 0;
  }

  /** A new note of a gate, for it to fill in. */
  note(gate: Gate, verdict: Verdict): GateNote {
    const note = (this.#notes[this.noted++] ??= new GateNote());
    note.gate = gate;
    note.verdict = verdict;
    note.code = note.a = note.b = note.c = 0;
    note.text = "";
    note.detail = null;
    return note;
  }

  get notes(): readonly GateNote[] {
    return this.#notes.slice(0, this.noted);
  }

  get carried(): { readonly sent: number; readonly received: number } | undefined {
    return this.carries ? { sent: this.sentBytes, received: this.receivedBytes } : undefined;
  }

  get failed(): boolean {
    const { status, grpcStatus, reason } = this.outcome;
    return reason !== "" || status >= 400 || grpcStatus > 0;
  }

  get steps(): readonly DecisionStep[] {
    return this.explained ? describeSteps(this) : [];
  }

  get nearest(): string {
    return this.failed && this.explained ? nearestChange(this) : "";
  }

  answeredByFunction(): void {
    this.fallback = "function";
    if (this.binding !== null) this.binding.counters.fallbacks.function++;
  }

  toJSON(): Decision {
    return copyDecision(this);
  }
}

/** Why a failed attempt was not followed by another; "" when it was, or when none was needed. */
export type RetryStop =
  | ""
  | "off"
  | "condition"
  | "attempts"
  | "caller-retries"
  | "body"
  | "not-idempotent"
  | "budget"
  | "max-retries"
  | "stand-by"
  | "deadline"
  | "pushback"
  | "committed";

/** Why no hedge was made; "" when it was, or when none was wanted. "unknown": too little is known of the method's latency. */
export type HedgeStop = "" | "unknown" | "not-idempotent" | "body" | "breaker" | "budget" | "no-endpoint";

/** A decision as plain data that lasts. */
export function copyDecision(decision: Decision): Decision {
  const { requestId, place, revision, endpointVersion, startedAt, durationMs, route, service, nearest } = decision;
  return {
    requestId,
    place,
    revision,
    endpointVersion,
    startedAt,
    durationMs,
    route,
    service,
    steps: decision.steps,
    attempts: decision.attempts.map(
      ({ number, endpoint, address, startMs, durationMs: took, outcome, why }): AttemptRecord => ({
        number,
        endpoint,
        address,
        startMs,
        durationMs: took,
        outcome,
        why,
      }),
    ),
    outcome: { ...decision.outcome },
    ...(decision.fallback ? { fallback: decision.fallback } : {}),
    ...(decision.rest ? { rest: true } : {}),
    ...(decision.carried ? { carried: decision.carried } : {}),
    nearest,
  };
}
