import type { DecisionStep } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import { errorAnswer } from "../error-answer.ts";
import { type CallState, DEFAULT_PRIORITY } from "../machine/call-state.ts";
import { type Gate, GateAnswer } from "../machine/gate.ts";
import type { GateContext } from "../machine/gates.ts";
import { ms } from "../resource/duration.ts";
import type { ProcessState } from "../snapshot/process-state.ts";
import type { AdmissionSettings } from "./admission-field.ts";
import { Overload } from "./overload.ts";
import { PRIORITY_FIELD, priorityOf } from "./priority.ts";
import type { ServiceTimes } from "./service-times.ts";
import { ShedLevel, shedChance } from "./shed-level.ts";

/**
 * Admission at gateways and services, as the first of the calls' backends that has it sets it; without any, when an Objective asks for calls to be turned
 * away. `afterIdentity`: the gate's place behind authentication, for priorities that go by claims; without such it comes first, so that what is turned away
 * costs nothing.
 */
export function admissionGates(context: GateContext, afterIdentity: boolean): Gate[] {
  const { place, policies, services, methodName, keeper } = context;
  if (place !== "gateway" && place !== "server") return [];
  const policy = policies.find(({ admission }) => admission !== null);
  const asked = policy === undefined ? whoAsks(context) : "";
  const admission = policy?.admission ?? (asked === "" ? null : PRESSURE_ONLY);
  if (admission === null) return [];
  const source = policy === undefined ? asked : (policy.sources.admission ?? "the default");
  if (admission.priorities.some(({ claim }) => claim !== undefined) !== afterIdentity) return [];
  return [
    new AdmissionGate(
      admission,
      source,
      services[0] ?? "",
      keeper.process,
      keeper.process.shedding(admission),
      keeper.process.level(services[0] ?? ""),
      keeper.process.times(`${place} ${services.join()} ${methodName}`),
    ),
  ];
}

/** The Objective that may put pressure on the calls; "" when none does. */
function whoAsks({ attached }: GateContext): string {
  const asking = attached("Objective").find(({ spec }) => spec.shed?.some(({ pressure = 0 }) => pressure > 0));
  return asking === undefined ? "" : `Objective ${asking.metadata.name}`;
}

/** Admission that goes by pressure from elsewhere alone. */
const PRESSURE_ONLY: AdmissionSettings = {
  eventLoop: 0,
  cpu: 0,
  loopDelayMs: 0,
  hysteresis: 0,
  sustainedMs: 0,
  priority: DEFAULT_PRIORITY,
  priorities: [],
  deadline: false,
};

/** What all calls under the same settings share: the process's overload, and the level that it asks for. */
export class Shedding {
  readonly overload: Overload;
  readonly level = new ShedLevel();

  constructor(settings: AdmissionSettings, process: ProcessState) {
    this.overload = new Overload(settings, process.load);
  }
}

/**
 * Turns calls away, the least important first, while the process is too busy or somebody else has a reason (pressure.ts), and those that cannot make
 * their deadline.
 *
 * Note: code = why; a = the level; b = the priority; c = the share to turn away, or the median when the deadline is too near; text = who asked for it.
 */
class AdmissionGate implements Gate {
  readonly rule = "admission";
  readonly source: string;
  readonly #settings: AdmissionSettings;
  readonly #service: string;
  readonly #process: ProcessState;
  readonly #shedding: Shedding;
  /** Of this service, for pressure from elsewhere. */
  readonly #level: ShedLevel;
  readonly #times: ServiceTimes;
  #tooLate = 0;

  constructor(
    settings: AdmissionSettings,
    source: string,
    service: string,
    process: ProcessState,
    shedding: Shedding,
    level: ShedLevel,
    times: ServiceTimes,
  ) {
    this.#settings = settings;
    this.source = source;
    this.#service = service;
    this.#process = process;
    this.#shedding = shedding;
    this.#level = level;
    this.#times = times;
  }

  enter(call: CallState, slot: number, now: number): GateAnswer {
    const priority = priorityOf(call, this.#settings);
    call.priority = priority;
    if (priority !== DEFAULT_PRIORITY) call.addRequestField(PRIORITY_FIELD, String(priority));
    const { overload, level: ofProcess } = this.#shedding;
    const ownShare = overload.share;
    const { pressure, source } = this.#process.pressure.of(this.#service);
    const own = ofProcess.see(priority, ownShare, now);
    const asked = this.#level.see(priority, pressure, now);
    const level = call.tape.read(Math.max(own, asked));
    const note = call.decision.note(this, "ok");
    note.a = level;
    note.b = priority;
    if (level > 0) {
      const ofOthers = call.tape.read(asked > own ? 1 : 0) === 1;
      note.c = call.tape.read(ofOthers ? pressure : ownShare);
      note.text = ofOthers ? source : call.tape.keep(overload.reason);
      const chance = shedChance(priority, level);
      if (chance === 1 || (chance > 0 && call.tape.next() < chance)) {
        note.code = Why.shed;
        return this.#refuse(call, note, ofOthers ? "pressure" : note.text);
      }
    }
    if (this.#settings.deadline && call.caller.deadline !== Number.POSITIVE_INFINITY) {
      const medianMs = call.tape.read(this.#times.medianMs(now));
      const leftMs = call.caller.deadline - now;
      // One in twenty is tried all the same: how else would the median get better?
      if (leftMs < medianMs && ++this.#tooLate % PROBE_EVERY !== 0) {
        note.code = Why.deadline;
        note.a = leftMs;
        note.c = medianMs;
        return this.#refuse(call, note, "deadline");
      }
    }
    call.memory[slot] = true;
    return GateAnswer.pass;
  }

  left(call: CallState, slot: number, now: number): void {
    if (call.memory[slot] !== true || this.#shedding.overload.busy) return;
    const { durationMs, outcome } = call.decision;
    const { method } = call.plan as NonNullable<CallState["plan"]>;
    if (method === null ? call.caller.streams : method.clientStreaming || method.serverStreaming) return;
    if (outcome.grpcStatus >= 0 ? outcome.grpcStatus === 0 : outcome.status < 400) this.#times.record(durationMs, now);
  }

  #refuse(call: CallState, note: GateNote, reason: string): GateAnswer {
    note.verdict = "denied";
    this.#process.countShed(reason, note.b);
    if (note.code === Why.deadline) {
      const message = `${ms(note.a)} left until the deadline, and ${this.#service || "the call"} takes ${ms(note.c)}`;
      call.response = errorAnswer("deadline_exceeded", 504, "DEADLINE_TOO_NEAR", message);
    } else {
      const message = `${this.#service || "the gateway"} is too busy for calls of priority ${note.b}`;
      call.response = errorAnswer("unavailable", 503, "SHED", message, true);
    }
    return GateAnswer.respond;
  }

  describe({ a, b: priority, c, code, text: asked }: GateNote): Pick<DecisionStep, "text" | "values"> {
    if (code === Why.deadline) {
      return {
        text: `${ms(a)} left until the deadline, the median is ${ms(c)}`,
        values: { leftMs: a, medianMs: c, priority },
      };
    }
    if (a === 0) return { text: `priority ${priority}, nothing is shed`, values: { priority } };
    const share = `${Math.round(c * 100)} % is shed for ${asked}`;
    return { text: `priority ${priority}, ${share}: below ${a.toFixed(1)}`, values: { priority, level: a, share: c } };
  }

  nearest({ a: level, code }: GateNote): string {
    if (code === Why.deadline) return "might have passed with a longer deadline";
    const enough = Math.min(10, Math.ceil(level));
    return `would have passed with priority ${enough} or more (${this.source})`;
  }
}

const Why = { passed: 0, shed: 1, deadline: 2 } as const;
const PROBE_EVERY = 20;
