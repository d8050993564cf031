import type { PressureSources } from "../admission/pressure.ts";
import type { DecisionStep } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import { errorAnswer } from "../error-answer.ts";
import type { CallState } from "../machine/call-state.ts";
import { type Gate, GateAnswer } from "../machine/gate.ts";
import type { GateContext } from "../machine/gates.ts";
import type { RequestFacts } from "../machine/request-facts.ts";
import { ConditionSet } from "../resource/conditions.ts";
import { limitMs } from "../resource/duration.ts";
import type { Plan } from "../snapshot/snapshot.ts";
import { DEFAULT_BAD, type Objective, type ShedSpec } from "./objective-resource.ts";
import { BurnLevel, LEVEL_NAMES, type ObjectiveState } from "./objective-state.ts";

/** Every Objective that holds for the calls, where calls go out. What a server itself sees of its calls is less than what its callers see. */
export function objectiveGates({ place, attached, services, methodName, keeper }: GateContext): Gate[] {
  if (place === "server") return [];
  return attached("Objective").map(
    (objective) =>
      new ObjectiveGate(objective, keeper.objective(objective), services, methodName, keeper.process.pressure),
  );
}

/**
 * Counts calls by how they ended, and turns the least wanted away while the budget burns. Note: code = the level; a = burn rate, b = budget left; c = the
 * entry of `shed`; detail = the state's words.
 *
 *     O1  What it turns away itself, and what callers gave up, counts neither as good nor as bad.
 */
class ObjectiveGate implements Gate {
  readonly rule = "objective";
  readonly source: string;
  readonly #state: ObjectiveState;
  readonly #bad: ConditionSet;
  readonly #withinMs: number;
  readonly #untilHead: boolean;
  readonly #shed: readonly CompiledShed[];
  readonly #pressures: readonly CompiledShed[];
  readonly #services: readonly string[];
  readonly #pressure: PressureSources;
  #told = -1;

  constructor(
    objective: Objective,
    state: ObjectiveState,
    services: readonly string[],
    methodName: string,
    pressure: PressureSources,
  ) {
    const { metadata, spec } = objective;
    this.source = `Objective ${metadata.name}`;
    this.#state = state;
    this.#bad = new ConditionSet(spec.availability?.bad ?? DEFAULT_BAD);
    this.#withinMs = limitMs(spec.latency?.within ?? "0s");
    this.#untilHead = spec.latency?.until === "head";
    const shed = (spec.shed ?? []).map(compileShed);
    this.#shed = shed.filter((entry) => entry.pressure === 0 && entry.concerns(methodName));
    this.#pressures = shed.filter((entry) => entry.pressure > 0);
    this.#services = services;
    this.#pressure = pressure;
  }

  enter(call: CallState, slot: number, now: number): GateAnswer {
    const level = call.tape.read(this.#state.see(now)) as BurnLevel;
    if (level !== this.#told) this.#tell(level);
    if (level === BurnLevel.quiet) return GateAnswer.pass;
    const at = this.#shed.findIndex(
      ({ when, below, percent }) =>
        level >= when && call.priority < below && (percent >= 100 || call.tape.next() * 100 < percent),
    );
    if (at < 0) return GateAnswer.pass;
    call.memory[slot] = SHED;
    this.#state.shed++;
    const { budget, burn, rate } = this.#state.worst(now);
    const note = call.decision.note(this, "denied");
    note.code = level;
    note.a = call.tape.read(rate);
    note.b = call.tape.read(budget.left(now));
    note.c = call.priority;
    note.text = call.tape.keep(`${budget.kind} ${percentText(budget.target)}`);
    note.detail = { window: call.tape.keep(burn.name), entry: this.#shed[at] };
    const message = `objective ${this.#state.name}: its error budget ${level === BurnLevel.spent ? "is used up" : "burns too fast"}; calls like this one are turned away first`;
    call.response = errorAnswer("unavailable", 503, "OBJECTIVE_SHED", message, true);
    return GateAnswer.respond;
  }

  left(call: CallState, slot: number, now: number): void {
    const { outcome, durationMs, startedAt, attempts } = call.decision;
    const { status, grpcStatus, reason } = outcome;
    if (call.memory[slot] === SHED || status === 499 || reason === "CANCELLED") return;
    const bad = this.#bad.hasAnswer(status, grpcStatus);
    const { availability, latency } = this.#state;
    availability?.record(bad, now);
    if (latency === null || bad) return;
    const { session } = call.facts as RequestFacts;
    const streams = session || (call.plan as Plan).method?.serverStreaming === true;
    const headAt = attempts.at(-1)?.headAt ?? -1;
    const tookMs = (this.#untilHead || streams) && headAt >= 0 ? headAt - startedAt : durationMs;
    latency.record(tookMs > this.#withinMs, now);
  }

  describe({ code, a: rate, b: left, c: priority, text, detail }: GateNote): Pick<DecisionStep, "text" | "values"> {
    const { window, entry } = detail as { window: string; entry: CompiledShed };
    const how =
      code === BurnLevel.spent
        ? `its budget is used ${rounded(1 - left)} times over`
        : `its budget burns ${LEVEL_NAMES[code]} (over ${window})`;
    return {
      text: `${text}: ${how}; ${entry.text} are turned away`,
      values: { burnRate: rate, budgetLeft: left, priority },
    };
  }

  nearest({ detail }: GateNote): string {
    const { below } = (detail as { entry: CompiledShed }).entry;
    return below <= 10
      ? `would have passed with priority ${below} or more, or once the budget of ${this.source} burns slower`
      : `would have passed once the budget of ${this.source} burns slower`;
  }

  /** Asks admission to turn away what it finds least important. */
  #tell(level: BurnLevel): void {
    this.#told = level;
    if (this.#pressures.length === 0) return;
    let pressure = 0;
    for (const entry of this.#pressures) if (level >= entry.when) pressure = Math.max(pressure, entry.pressure);
    for (const service of this.#services.length === 0 ? [""] : this.#services)
      this.#pressure.set(this.source, service, pressure);
  }
}

interface CompiledShed {
  readonly when: BurnLevel;
  /** 11: whatever their priority. */
  readonly below: number;
  readonly percent: number;
  /** 0: it chooses calls itself. */
  readonly pressure: number;
  readonly text: string;
  concerns(methodName: string): boolean;
}

function compileShed({ when = "fast", below, methods, percent = 100, pressure = 0 }: ShedSpec): CompiledShed {
  const names = methods?.map((name) => name.replace(/^\//, ""));
  const what = [
    percent < 100 ? `${percent} % of calls` : "calls",
    below === undefined ? "" : ` of priority below ${below}`,
    names === undefined ? "" : ` of ${names.join(", ")}`,
  ];
  return {
    when: BurnLevel[when],
    below: below ?? 11,
    percent,
    pressure,
    text: what.join(""),
    concerns: (name) => names === undefined || names.some((known) => name === known || name.startsWith(`${known}/`)),
  };
}

function rounded(rate: number): number {
  return Math.round(rate * 10) / 10;
}

function percentText(target: number): string {
  return `${Number((target * 100).toFixed(4))} %`;
}

const SHED = Symbol("turned away");
