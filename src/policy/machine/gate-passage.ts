import { WeftError } from "../../core/errors.ts";
import { type DecisionStep, Effect, type LocalResponse, type Waker } from "../call.ts";
import type { Plan } from "../snapshot/snapshot.ts";
import { CallEffects } from "./call-effects.ts";
import type { CallState } from "./call-state.ts";
import type { CallTimers } from "./call-timers.ts";
import { type Gate, GateAnswer } from "./gate.ts";
import * as answers from "./local-answers.ts";
import { Phase } from "./phase.ts";

/** A call's way through its gates, and what they say of it later (gate.ts, G1 and G2). What comes before and after is in call-machine.ts. */
export abstract class GatePassage extends CallEffects {
  protected readonly timers: CallTimers;
  protected phase: Phase = Phase.idle;
  /** The gate that the call is at; `gatesEntered` of them have been entered. */
  private gateAt = 0;
  private gatesEntered = 0;
  /** The first gate that the call passes: another than the plan's only for a refresh. */
  private firstGate = 0;

  constructor(state: CallState) {
    super(state);
    this.timers = state.timers;
  }

  /** Past all gates. */
  protected abstract passed(now: number): void;

  protected abstract respond(response: LocalResponse, now: number): void;

  protected resetPassage(): void {
    this.phase = Phase.idle;
    this.gateAt = this.gatesEntered = this.firstGate = 0;
  }

  /** A refresh passes only the gates that want it, and those behind them. */
  protected skipToRefresh(): void {
    const { gates } = this.state.plan as Plan;
    const first = gates.findIndex(({ refreshes }) => refreshes === true);
    this.firstGate = this.gateAt = first < 0 ? gates.length : first;
  }

  protected passGates(now: number): void {
    const { gates } = this.state.plan as Plan;
    while (this.gateAt < gates.length) {
      this.gatesEntered = this.gateAt + 1;
      if (!this.heard(this.entered(gates[this.gateAt], now), now)) return;
    }
    this.passed(now);
  }

  /** A gate that fails lets nobody pass, and ends nothing but the call. */
  private entered(gate: Gate, now: number): GateAnswer {
    try {
      return gate.enter(this.state, this.gateAt, now);
    } catch (thrown) {
      return this.failedAt(gate, thrown);
    }
  }

  private failedAt(gate: Gate, cause: unknown): GateAnswer {
    const { rule, source } = gate;
    this.decision.note(new FailedGate(rule, source, cause), "failed");
    const message = `${source === "" ? rule : source} could not be applied to this call`;
    const error = new WeftError("internal", message, { reason: "POLICY_FAILED", cause });
    this.state.response = { error, status: 500, fields: [], body: null };
    return GateAnswer.respond;
  }

  /** What the gate said that the call is at; true when the next one is to be entered. */
  private heard(answer: GateAnswer, now: number): boolean {
    const { state } = this;
    const leftMs = state.caller.deadline - now;
    switch (answer) {
      case GateAnswer.pass:
        this.gateAt++;
        return true;
      case GateAnswer.ask:
        this.phase = Phase.asking;
        this.queryId++;
        this.effects.push(Effect.query, 0, 0);
        this.timers.startWaiting(Math.min(state.queryMs, leftMs));
        return false;
      case GateAnswer.wait:
        this.phase = Phase.held;
        this.timers.startWaiting(Math.min(state.waitMs, leftMs));
        return false;
      default:
        this.respond(state.response as LocalResponse, now);
        return false;
    }
  }

  answered(queryId: number, result: unknown, now: number): void {
    if (this.phase !== Phase.asking || queryId !== this.queryId) return;
    this.timers.stopWaiting();
    const gate = (this.state.plan as Plan).gates[this.gateAt];
    let answer: GateAnswer;
    try {
      answer = gate.answered?.(this.state, this.gateAt, result, now) ?? GateAnswer.pass;
    } catch (thrown) {
      answer = this.failedAt(gate, thrown);
    }
    if (this.heard(answer, now)) this.passGates(now);
  }

  /** The time that a gate wanted to wait is over, or what is left of the caller's. */
  protected resumed(now: number): void {
    const { state } = this;
    if (now >= state.caller.deadline) {
      this.respond(answers.deadlineAnswer(this.decision), now);
      return;
    }
    const gate = (state.plan as Plan).gates[this.gateAt];
    if (this.heard(gate.resumed?.(state, this.gateAt, now) ?? GateAnswer.pass, now)) this.passGates(now);
  }

  /** A waker was told: what the call waits for at its gate may have come before the time was over. */
  woken(now: number): void {
    if (this.phase !== Phase.held) return;
    this.timers.stopWaiting();
    this.resumed(now);
  }

  set waker(waker: Waker | null) {
    this.state.waker = waker;
  }

  /** Whether a gate answers, by `state.response`, in place of an attempt of which this is the head. */
  protected gateAnswersHead(status: number, grpcStatus: number, fields: readonly string[], now: number): boolean {
    const { state } = this;
    const { gates } = state.plan as Plan;
    for (let at = gates.length - 1; at >= this.firstGate; at--) {
      if (gates[at].headed?.(state, at, status, grpcStatus, fields, now) === GateAnswer.respond) return true;
    }
    return false;
  }

  /** Whether a gate answers, by `state.response`, in place of this failure. */
  protected gateAnswersFailure(failure: LocalResponse, now: number): boolean {
    const { state } = this;
    const { gates } = state.plan as Plan;
    state.failure = failure;
    for (let at = gates.length - 1; at >= this.firstGate; at--) {
      if (gates[at].failing?.(state, at, now) === GateAnswer.respond) return true;
    }
    return false;
  }

  protected leaveGates(now: number): void {
    const { gates } = this.state.plan as Plan;
    for (let at = this.gatesEntered - 1; at >= this.firstGate; at--) gates[at].left?.(this.state, at, now);
  }
}

/** In the record, for whoever runs the process: what a gate threw. */
class FailedGate implements Gate {
  readonly rule: string;
  readonly source: string;
  readonly #what: string;

  constructor(rule: string, source: string, cause: unknown) {
    this.rule = rule;
    this.source = source;
    const { stack = "" } = cause instanceof Error ? cause : new Error(String(cause));
    this.#what = stack.split("\n", 2).join(" ").slice(0, MAX_WHAT);
  }

  enter(): GateAnswer {
    return GateAnswer.respond;
  }

  describe(): Pick<DecisionStep, "text" | "values"> {
    return { text: `could not be applied: ${this.#what}`, values: {} };
  }
}

const MAX_WHAT = 300;
