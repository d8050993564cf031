import type { Endpoint } from "../../core/endpoint.ts";
import type { BodyStore, CallContext, CallRequest, LocalResponse, Waker } from "../call.ts";
import { CallDecision } from "../decision/decision.ts";
import { type DecisionJournal, MAX_PATH } from "../decision/journal.ts";
import type { FallbackSettings } from "../resilience/fallback-field.ts";
import type { SessionToken } from "../route/session.ts";
import type { RuntimeState } from "../snapshot/runtime-state.ts";
import type { Binding, Plan } from "../snapshot/snapshot.ts";
import { Attempt } from "./attempt.ts";
import { CallTimers } from "./call-timers.ts";
import { EffectQueue } from "./effect-queue.ts";
import { NOBODY, type Principal } from "./principal.ts";
import type { Query } from "./query.ts";
import { explainable, type RequestFacts } from "./request-facts.ts";
import { Tape } from "./tape.ts";

/** What a call machine knows of its call, for the steps that live in files of their own. Reused from call to call, as its machine is. */
export class CallState {
  readonly shared: RuntimeState;
  decision = new CallDecision();
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
  /** Attempts under way. */
  live = 0;
  hedges = 0;
  /** A server asked not to be tried again. */
  hedgingOver = false;
  /** A retry of this call is counted as under way (limits.maxRetries). */
  retryHeld = false;
  /** What answers when the call fails: of the policy that it began with. */
  fallback: FallbackSettings | null = null;
  /** The call has turned to the stand-by service. */
  standby = false;
  standbyAllowed = false;
  /** When bytes last went either way. */
  activeAt = 0;
  /** Absolute: the call's end at the latest, and the time by which an answer must have begun. */
  hardAt = Number.POSITIVE_INFINITY;
  softAt = Number.POSITIVE_INFINITY;
  /** Attempt objects, the first `decision.attempts.length` of them in use. */
  readonly pool: Attempt[] = [];
  /** Slots of endpoints that failed this call. */
  readonly avoid: number[] = [];
  readonly mirrors: Endpoint[] = [];
  readonly tape: Tape;

  // what gates set (gate.ts)
  principal: Principal = NOBODY;
  /** Shed last when highest: 0 to 10, 5 unless somebody says otherwise. */
  priority = DEFAULT_PRIORITY;
  query: Query | null = null;
  queryMs = 0;
  waitMs = 0;
  response: LocalResponse | null = null;
  /** What will be said unless a gate's `failing` knows better. */
  failure: LocalResponse | null = null;
  store: BodyStore | null = null;
  /** The request is to be made once more, beside the answer that is there (the effect `refresh`). */
  refresh = false;
  /** How fast the response's body may be delivered; 0 is unlimited. */
  bytesPerSecond = 0;
  /** The token of the session that the call belongs to, and the slot of the endpoint that it names, -1 for none (session-choice.ts). */
  session: SessionToken | null = null;
  preferred = -1;
  /** The backend, chosen before its time since a gate has to know it (backend-choice.ts). */
  ahead: Binding | null = null;
  /** Cookies that were made for this call to be balanced by, by name. */
  madeCookies: Map<string, string> | null = null;
  /** What each gate keeps of this call, by its place in the plan. */
  readonly memory: unknown[] = [];
  requestAdd: string[] | null = null;
  /** Names of request fields that gates alone say, lower-case: what the caller wrote under them counts for nothing (request-values.ts, knownFields). */
  vouched: readonly string[] | null = null;
  requestRemove: string[] | null = null;
  responseAdd: string[] | null = null;

  constructor(shared: RuntimeState) {
    this.shared = shared;
    this.tape = new Tape(shared.random);
    this.timers = new CallTimers(this.effects);
  }

  /** Told when another call's end lets this one, which waits at a gate, go on. Its shell then tells the machine `woken`. */
  waker: Waker | null = null;

  /** For gates: a call that waits may go on before its time is over. Without a waker it finds out when that is. */
  wake(): void {
    this.waker?.wake();
  }

  get caller(): CallContext {
    return this.context as CallContext;
  }

  /** Names are lower-case, as everywhere. The field is sent to whatever endpoint the call goes to. */
  addRequestField(name: string, value: string): void {
    (this.requestAdd ??= []).push(name, value);
  }

  /** These fields are for gates alone to say. */
  vouchFor(names: readonly string[]): void {
    this.vouched = this.vouched === null ? names : [...this.vouched, ...names];
  }

  removeRequestField(name: string): void {
    (this.requestRemove ??= []).push(name);
  }

  /** For whatever answer the caller gets. */
  addResponseField(name: string, value: string): void {
    (this.responseAdd ??= []).push(name, value);
  }

  /** Gives the ended call's decision away, with its attempts, and goes on with another. */
  exchangeDecision(journal: DecisionJournal): void {
    const { decision, pool, context, request } = this;
    if (!journal.wants(decision)) return;
    const sent = context?.asSent ?? request;
    const { method, path } = sent;
    decision.sent ??= explainable(sent);
    decision.method = method;
    decision.path = path.length <= MAX_PATH ? path : [...path.slice(0, MAX_PATH)].join(""); // a slice would hold the whole
    const next = journal.keep(decision);
    if (next === decision) return;
    for (let i = 0; i < decision.attempts.length; i++) pool[i] = next.attempts[i] ?? new Attempt();
    this.decision = next;
  }

  /** Makes it as new. */
  reset(): void {
    this.request = NO_REQUEST;
    this.waker = null;
    this.context = this.facts = this.plan = this.binding = null;
    this.committed = this.bodyFollows = this.requestEnded = false;
    this.replayable = true;
    this.requestBytes = this.retries = this.live = this.hedges = this.activeAt = 0;
    this.hedgingOver = this.retryHeld = this.standby = this.standbyAllowed = false;
    this.fallback = null;
    this.hardAt = this.softAt = Number.POSITIVE_INFINITY;
    if (this.avoid.length > 0) this.avoid.length = 0;
    if (this.mirrors.length > 0) this.mirrors.length = 0;
    if (this.memory.length > 0) this.memory.length = 0;
    this.principal = NOBODY;
    this.priority = DEFAULT_PRIORITY;
    this.query = null;
    this.response = this.failure = null;
    this.session = null;
    this.preferred = -1;
    this.store = this.ahead = this.madeCookies = null;
    this.bytesPerSecond = 0;
    this.refresh = false;
    this.requestAdd = this.requestRemove = this.responseAdd = this.vouched = null;
    this.effects.reset();
    this.timers.reset();
    for (const attempt of this.decision.attempts) attempt.to = attempt.binding = null;
    this.decision.reset();
  }
}

export const DEFAULT_PRIORITY = 5;

const NO_REQUEST: CallRequest = {
  method: "",
  scheme: "",
  authority: "",
  path: "",
  protocol: "",
  fields: [],
  memo: null,
};
