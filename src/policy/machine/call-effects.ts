import type { ConnectionBounds } from "../../core/connection-bounds.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { type BodyStore, Effect, type EffectKind, type LocalResponse } from "../call.ts";
import { AttemptKind } from "../decision/attempt-kind.ts";
import type { CallDecision } from "../decision/decision.ts";
import type { BackendChanges } from "../route/rule.ts";
import type { Binding, Plan } from "../snapshot/snapshot.ts";
import type { CallState } from "./call-state.ts";
import type { EffectQueue } from "./effect-queue.ts";
import type { Principal } from "./principal.ts";
import type { Query } from "./query.ts";
import type { RequestFacts } from "./request-facts.ts";

/** What a shell pulls from a call machine: its effects, one at a time, with their parameters in fields. See call.ts. */
export abstract class CallEffects {
  attempt = 0;
  endpoint: Endpoint | null = null;
  timeoutMs = Number.POSITIVE_INFINITY;
  repeats = false;
  bounds: ConnectionBounds | null = null;
  addFields: readonly string[] | null = null;
  removeFields: readonly string[] | null = null;
  rewritePath = "";
  rewriteAuthority = "";
  timerId = 0;
  timerMs = 0;
  queryId = 0;
  query: Query | null = null;
  store: BodyStore | null = null;
  bytesPerSecond = 0;
  response: LocalResponse | null = null;
  decision: CallDecision;
  protected readonly state: CallState;
  protected readonly effects: EffectQueue;

  constructor(state: CallState) {
    this.state = state;
    this.decision = state.decision;
    this.effects = state.effects;
  }

  get principal(): Principal {
    return this.state.principal;
  }

  get proxyProtocol(): "" | "v1" | "v2" {
    return this.decision.attempts[this.attempt - 1]?.binding?.policy.proxyProtocol ?? "";
  }

  get priority(): number {
    return this.state.priority;
  }

  protected resetEffects(): void {
    this.endpoint = this.response = this.bounds = null;
    this.addFields = this.removeFields = null;
    this.query = this.store = null;
  }

  next(): EffectKind {
    const { effects } = this;
    const { waiting } = effects;
    while (effects.first < effects.tail) {
      const at = effects.first;
      const kind = waiting[at] as EffectKind;
      const number = waiting[at + 1];
      const value = waiting[at + 2];
      effects.first = at + 3;
      switch (kind) {
        case Effect.forward: {
          const attempt = this.decision.attempts[number - 1];
          if (!attempt.live) continue; // it was given up before the shell heard of it
          attempt.forwarded = true;
          this.attempt = number;
          this.endpoint = attempt.to;
          this.timeoutMs = value;
          this.repeats = attempt.kind === AttemptKind.retry || attempt.kind === AttemptKind.hedge;
          this.bounds = (attempt.binding as Binding).policy.limits.connections;
          this.requestChanges(attempt.binding?.changes ?? null);
          return kind;
        }
        case Effect.mirror:
          this.endpoint = this.state.mirrors[number];
          this.requestChanges(null);
          return kind;
        case Effect.replayBody:
          if (!this.decision.attempts[number - 1].live) continue;
          this.attempt = number;
          return kind;
        case Effect.cancel:
          if (!this.decision.attempts[number - 1].forwarded) continue;
          this.attempt = number;
          return kind;
        case Effect.deliver: {
          const { state } = this;
          const { responseAdd, responseRemove } =
            this.decision.attempts[number - 1].binding?.changes ?? (state.plan as Plan).rule;
          this.attempt = number;
          this.addFields = both(responseAdd, state.responseAdd);
          this.removeFields = responseRemove;
          this.store = state.store;
          this.bytesPerSecond = state.bytesPerSecond;
          return kind;
        }
        case Effect.refresh:
          this.addFields = this.state.requestAdd;
          this.removeFields = this.state.requestRemove;
          return kind;
        case Effect.accept:
          this.addFields = this.state.responseAdd;
          return kind;
        case Effect.query:
          this.query = this.state.query;
          return kind;
        case Effect.startTimer:
          this.timerId = number;
          this.timerMs = value;
          return kind;
        case Effect.cancelTimer:
          this.timerId = number;
          return kind;
        default:
          return kind;
      }
    }
    effects.first = effects.tail = 0;
    return Effect.none;
  }

  /** `changes`: a backend's, in place of the rule's. */
  private requestChanges(changes: BackendChanges | null): void {
    const { requestAdd, requestRemove } = changes ?? (this.state.plan as Plan).rule;
    const facts = this.state.facts as RequestFacts;
    this.addFields = both(requestAdd, this.state.requestAdd);
    this.removeFields = both(requestRemove, this.state.requestRemove);
    this.rewritePath = facts.rewritePath;
    this.rewriteAuthority = facts.rewriteAuthority;
  }
}

function both(one: readonly string[] | null, other: readonly string[] | null): readonly string[] | null {
  if (other === null) return one;
  return one === null ? other : [...one, ...other];
}
