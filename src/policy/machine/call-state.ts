import type { Endpoint } from "../../core/endpoint.ts";
import type { CallContext, CallRequest } from "../call.ts";
import { CallDecision } from "../decision/decision.ts";
import type { RuntimeState } from "../snapshot/runtime-state.ts";
import type { Binding, Plan } from "../snapshot/snapshot.ts";
import type { Attempt } from "./attempt.ts";
import { CallTimers } from "./call-timers.ts";
import { EffectQueue } from "./effect-queue.ts";
import type { RequestFacts } from "./request-facts.ts";

/** What a call machine knows of its call, for the steps that live in files of their own. Reused from call to call, as its machine is. */
export class CallState {
  readonly shared: RuntimeState;
  readonly decision = new CallDecision();
  readonly effects = new EffectQueue();
  readonly timers: CallTimers;
  request: CallRequest = NO_REQUEST;
  context: CallContext | null = null;
  facts: RequestFacts | null = null;
  plan: Plan | null = null;
  /** Null until the backend is chosen. */
  binding: Binding | null = null;
  committed = false;
  replayable = true;
  bodyFollows = false;
  requestEnded = false;
  requestBytes = 0;
  retries = 0;
  /** Absolute: the call's end at the latest, and the time by which an answer must have begun. */
  hardAt = Number.POSITIVE_INFINITY;
  softAt = Number.POSITIVE_INFINITY;
  /** Attempt objects, the first `decision.attempts.length` of them in use. */
  readonly pool: Attempt[] = [];
  /** Slots of endpoints that failed this call. */
  readonly avoid: number[] = [];
  readonly mirrors: Endpoint[] = [];

  constructor(shared: RuntimeState) {
    this.shared = shared;
    this.timers = new CallTimers(this.effects);
  }

  /** Makes it as new. */
  reset(): void {
    this.request = NO_REQUEST;
    this.context = this.facts = this.plan = this.binding = null;
    this.committed = this.bodyFollows = this.requestEnded = false;
    this.replayable = true;
    this.requestBytes = this.retries = 0;
    this.hardAt = this.softAt = Number.POSITIVE_INFINITY;
    if (this.avoid.length > 0) this.avoid.length = 0;
    if (this.mirrors.length > 0) this.mirrors.length = 0;
    this.effects.reset();
    this.timers.reset();
    for (const attempt of this.decision.attempts) attempt.to = null;
    this.decision.reset();
  }
}

const NO_REQUEST: CallRequest = {
  method: "",
  scheme: "",
  authority: "",
  path: "",
  protocol: "",
  fields: [],
  memo: null,
};
