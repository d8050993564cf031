import { type Clock, systemClock } from "../core/clock.ts";
import { Timer, TimerWheel } from "../core/timer-wheel.ts";
import {
  type Call,
  type CallContext,
  type CallRequest,
  type Decision,
  Effect,
  type LocalResponse,
} from "../policy/call.ts";
import { NOBODY, type Principal } from "../policy/machine/principal.ts";
import type { Query } from "../policy/machine/query.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { WakeQueue } from "./wake-queue.ts";

export interface InboundOptions {
  policy: PolicyRuntime;
  clock?: Clock;
  /** Default: a wheel of its own on `clock`. */
  timers?: TimerWheel;
  /** As CarrierOptions.query. */
  query?: (query: Query, answer: (result: unknown) => void) => void;
  /** Every call that had to pass gates, when it is over; valid during the call only. */
  onEnd?: (decision: Decision) => void;
}

/** Whoever handles the call once its gates have let it pass. Exactly one of both is called, once: before `begin` returns or later. */
export interface InboundTarget {
  /** The call may be handled. `ended` or `gone` of `call` is owed. */
  accepted(call: InboundCall): void;
  /** It may not: `response` is the answer. Nothing more is owed. */
  refused(response: LocalResponse): void;
}

/**
 * The shell for calls that come in at a service or its sidecar (place "server"): has the call machine pass them through their gates, and tells it how they
 * were answered. The inbound counterpart of the carrier.
 *
 *     begin --> [gates: may wait, or ask] --accept--> accepted ... ended | gone --> told, at once or when the handler is idle
 *                         |  `------------respond--> refused
 *                         `--gone
 *
 * A caller that gives up ends its call, but not the work that a handler does for it: such a call counts as in flight until the handler has settled, or for
 * LINGER_MS. Otherwise an overloaded service whose callers time out would take on more with every one that does.
 */
export class Inbound {
  readonly policy: PolicyRuntime;
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly wakes = new WakeQueue();
  query: InboundOptions["query"];
  readonly onEnd: InboundOptions["onEnd"];

  constructor(options: InboundOptions) {
    this.policy = options.policy;
    this.clock = options.clock ?? systemClock;
    this.timers = options.timers ?? new TimerWheel(this.clock);
    this.query = options.query;
    this.onEnd = options.onEnd;
  }

  begin(
    request: CallRequest,
    context: CallContext,
    bodyFollows: boolean,
    now: number,
    target: InboundTarget,
  ): InboundCall {
    const call = new InboundCall(this, target, now);
    call.begin(request, context, bodyFollows);
    return call;
  }
}

/** One call between its gates and its end. */
export class InboundCall extends Timer {
  readonly startedAt: number;
  /** Fields for the answer, flat; null for none. Known once it is accepted. */
  addFields: readonly string[] | null = null;
  /** Who calls and how much the call matters, as gates established it. Known once it is accepted. */
  principal: Principal = NOBODY;
  priority = 0;
  readonly #inbound: Inbound;
  readonly #target: InboundTarget;
  readonly #call: Call;
  #timerId = 0;
  #over = false;
  #working = false;
  /** How it ended, while its handler goes on. */
  #outcome: { readonly status: number; readonly grpcStatus: number } | null = null;
  #draining = false;

  constructor(inbound: Inbound, target: InboundTarget, now: number) {
    super();
    this.#inbound = inbound;
    this.#target = target;
    this.startedAt = now;
    this.#call = inbound.policy.createCall();
    this.#call.waker = this;
  }

  begin(request: CallRequest, context: CallContext, bodyFollows: boolean): void {
    this.#call.begin(request, context, bodyFollows, this.startedAt);
    this.#drain(this.startedAt);
  }

  /** Its handler works, and will be `idle`. */
  working(): void {
    this.#working = true;
  }

  /** The handler has settled. To be said before `ended` when it ends by that. */
  idle(): void {
    this.#working = false;
    if (this.#outcome !== null) this.#tell(this.#outcome.status, this.#outcome.grpcStatus);
  }

  /** It was answered: HTTP status, and for gRPC its status (otherwise -1). */
  ended(status: number, grpcStatus: number): void {
    if (this.#working && this.#outcome === null) this.#linger(status, grpcStatus);
    else this.#tell(status, grpcStatus);
  }

  /** The caller went away, before or after it was accepted. */
  gone(): void {
    this.ended(GONE, -1);
  }

  #linger(status: number, grpcStatus: number): void {
    this.#outcome = { status, grpcStatus };
    this.#inbound.timers.schedule(this, LINGER_MS);
  }

  #tell(status: number, grpcStatus: number): void {
    this.#outcome = null;
    if (this.#over) return;
    const now = this.#inbound.clock.now();
    if (status === GONE) this.#call.downstreamGone(now);
    else this.#call.head(0, status, grpcStatus < 0 ? NO_FIELDS : grpcFields(grpcStatus), true, now);
    this.#drain(now);
  }

  wake(): void {
    this.#inbound.wakes.add(this);
  }

  awake(): void {
    if (this.#over) return;
    const now = this.#inbound.clock.now();
    this.#call.woken(now);
    this.#drain(now);
  }

  override fire(now: number): void {
    if (this.#over) return;
    if (this.#outcome !== null) {
      this.#tell(this.#outcome.status, this.#outcome.grpcStatus);
      return;
    }
    this.#call.timer(this.#timerId, now);
    this.#drain(now);
  }

  #drain(now: number): void {
    if (this.#draining) return;
    this.#draining = true;
    const call = this.#call;
    const { timers } = this.#inbound;
    let accepted = false;
    let response: LocalResponse | null = null;
    for (let effect = call.next(); effect !== Effect.none; effect = call.next()) {
      if (effect === Effect.accept) {
        this.addFields = call.addFields;
        this.principal = call.principal;
        this.priority = call.priority;
        accepted = true;
      } else if (effect === Effect.respond) response = call.response;
      else if (effect === Effect.query) this.#ask(call.queryId, call.query as Query);
      else if (effect === Effect.startTimer) {
        // Before a call is accepted its machine has one timer: for what it waits for.
        this.#timerId = call.timerId;
        timers.schedule(this, call.timerMs, now);
      } else if (effect === Effect.cancelTimer) timers.cancel(this);
      else if (effect === Effect.end) {
        this.#end();
        break;
      }
    }
    this.#draining = false;
    // Told when the machine is at rest: whoever handles the call may end it at once.
    if (response !== null) this.#target.refused(response);
    else if (accepted) this.#target.accepted(this);
  }

  #ask(id: number, query: Query): void {
    const ask = this.#inbound.query;
    if (ask === undefined) {
      this.#call.answered(id, null, this.#inbound.clock.now());
      return;
    }
    let open = true;
    ask(query, (result) => {
      if (!open || this.#over) return;
      open = false;
      const now = this.#inbound.clock.now();
      this.#call.answered(id, result, now);
      this.#drain(now);
    });
  }

  #end(): void {
    this.#over = true;
    const { onEnd, policy, timers } = this.#inbound;
    timers.cancel(this);
    onEnd?.(this.#call.decision);
    policy.release(this.#call);
  }
}

const NO_FIELDS: readonly string[] = [];
/** For a caller that is no more; nginx's number. */
const GONE = 499;
/** How long a handler whose caller is gone counts at most: one that waits for what never comes takes up nothing. */
const LINGER_MS = 5_000;
const GRPC_FIELDS: (readonly string[])[] = [];

function grpcFields(status: number): readonly string[] {
  return (GRPC_FIELDS[status] ??= ["grpc-status", String(status)]);
}
