import { fieldOf } from "../../core/fields.ts";
import type { DecisionStep, LocalResponse } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import { errorAnswer } from "../error-answer.ts";
import { bindingAhead } from "../machine/backend-choice.ts";
import type { CallState } from "../machine/call-state.ts";
import { type Gate, GateAnswer } from "../machine/gate.ts";
import type { GateContext } from "../machine/gates.ts";
import { FAULT_FIELD, type RequestFacts } from "../machine/request-facts.ts";
import { sentFields } from "../machine/request-values.ts";
import { sameField } from "../machine/same-field.ts";
import { isUnary } from "../machine/time-limits.ts";
import { ms } from "../resource/duration.ts";
import { hasField } from "../resource/header-match.ts";
import { Level } from "../resource/level.ts";
import type { EffectivePolicy } from "../snapshot/effective-policy.ts";
import type { Plan } from "../snapshot/snapshot.ts";
import type { ActiveFaults } from "./active-faults.ts";
import type { FaultDelay, FaultSettings } from "./fault-field.ts";
import { type AskedFaults, parseFaultHeader } from "./fault-header.ts";

/** The faults of a plan's backends. Enforced where calls go out: by the typed client, the outbound sidecar and the gateway. */
export function faultGates({ place, policies, keeper }: GateContext): Gate[] {
  if (place === "server" || policies.every(({ fault }) => fault === null)) return [];
  return [
    new FaultGate(
      policies,
      policies.map(({ sources }) => keeper.faults(sources.fault ?? "")),
    ),
  ];
}

/** What was drawn for one call. */
class DrawnFaults {
  active: ActiveFaults | null = null;
  settings: AskedFaults | null = null;
  delayMs = 0;
  /** The call's time-out passes while it is held back. */
  timesOut = false;
  abort = false;
  reset = false;
  bytesPerSecond = 0;
  readonly draws: number[] = [];

  get hit(): boolean {
    return this.delayMs > 0 || this.abort || this.reset || this.bytesPerSecond > 0;
  }
}

/**
 * Delays a call, then aborts it, resets it, or has its response throttled. Note: code = what was injected; a = delay in ms, b = status, c = bytes a
 * second; text = who asked; detail = draws.
 *
 *     F1  A kind with percent p befalls a share p of the calls that match; p = 0 none, p = 100 all, without a draw.
 *     F2  At most `maxActive` calls suffer a fault at the same time.
 *     F3  A delay ends with the call's time-out: the caller sees what a slow service would have shown it.
 */
class FaultGate implements Gate {
  readonly rule = "fault";
  readonly source: string;
  readonly #policies: readonly EffectivePolicy[];
  readonly #active: readonly ActiveFaults[];
  readonly #alike: boolean;

  constructor(policies: readonly EffectivePolicy[], active: readonly ActiveFaults[]) {
    this.#policies = policies;
    this.#active = active;
    this.#alike = sameField(policies, "fault");
    this.source = policies.find(({ fault }) => fault !== null)?.sources.fault ?? "";
  }

  enter(call: CallState, slot: number, now: number): GateAnswer {
    const at = this.#alike ? 0 : (call.plan as Plan).bindings.indexOf(bindingAhead(call) as never);
    const policy = this.#policies[at];
    const settings = policy?.fault ?? null;
    if (settings === null) return GateAnswer.pass;
    const fields = sentFields(call);
    const asked = this.#askedBy(call, fields, settings);
    for (const match of settings.match) if (asked === null && !hasField(fields, match)) return GateAnswer.pass;
    if (asked === null && !hasFaults(settings)) return GateAnswer.pass;
    const faults = drawFaults(call, asked ?? settings);
    if (!faults.hit) return this.#note(call, asked !== null, faults, NOTHING);
    const active = this.#active[at];
    if (call.tape.read(active.count) >= settings.maxActive) return this.#note(call, asked !== null, faults, TOO_MANY);
    active.count++;
    const { totals } = active;
    if (faults.delayMs > 0) totals.delay++;
    if (faults.abort) totals.abort++;
    else if (faults.reset) totals.reset++;
    else if (faults.bytesPerSecond > 0) totals.throttle++;
    faults.active = active;
    call.memory[slot] = faults;
    if (faults.delayMs > 0) limitDelay(call, policy, faults, now);
    this.#note(call, asked !== null, faults, 0);
    if (faults.delayMs <= 0) return this.resumed(call, slot);
    call.waitMs = faults.delayMs;
    return GateAnswer.wait;
  }

  resumed(call: CallState, slot: number): GateAnswer {
    const faults = call.memory[slot] as DrawnFaults;
    if (!faults.timesOut) return this.#after(call, faults);
    const message = `no answer within ${ms(faults.delayMs)}: a fault of ${this.source} delayed the call`;
    call.response = errorAnswer("deadline_exceeded", 504, "DEADLINE_EXCEEDED", message);
    return GateAnswer.respond;
  }

  left(call: CallState, slot: number): void {
    const faults = call.memory[slot] as DrawnFaults | undefined;
    if (faults?.active) faults.active.count--;
  }

  /** What follows the delay. */
  #after(call: CallState, faults: DrawnFaults): GateAnswer {
    if (faults.abort) call.response = this.#aborted(faults);
    else if (faults.reset) {
      const message = `a fault of ${this.source} reset the call`;
      call.response = { ...errorAnswer("unavailable", 503, "FAULT_RESET", message), reset: true };
    } else {
      call.bytesPerSecond = faults.bytesPerSecond;
      return GateAnswer.pass;
    }
    return GateAnswer.respond;
  }

  #aborted({ settings }: DrawnFaults): LocalResponse {
    const { status, code } = settings?.abort ?? { status: 503, code: "unavailable" as const };
    if (code === null) return { error: null, status, fields: [], body: null };
    return errorAnswer(code, status, "FAULT_ABORT", `a fault of ${this.source} aborted the call`);
  }

  /** What an authenticated caller asks for; null when nobody does who may. The field goes no further. */
  #askedBy(call: CallState, fields: readonly string[], { byHeader }: FaultSettings): AskedFaults | null {
    if (byHeader === null) return null;
    const value = fieldOf(fields, FAULT_FIELD);
    if (value === undefined) return null;
    if (!(call.facts as RequestFacts).asksFaults) call.removeRequestField(FAULT_FIELD);
    const { peerIdentity } = call.caller;
    const { method, subject } = call.principal;
    const { callers } = byHeader;
    const known =
      callers === null
        ? peerIdentity !== "" || method !== ""
        : (peerIdentity !== "" && callers.has(peerIdentity)) || (method !== "" && callers.has(subject));
    return known ? parseFaultHeader(value, byHeader.maxPercent) : null;
  }

  #note(call: CallState, asked: boolean, faults: DrawnFaults, code: number): GateAnswer {
    const hit = code === 0;
    const note = call.decision.note(this, "ok");
    note.code = code;
    if (hit) {
      if (faults.delayMs > 0) note.code |= DELAYED;
      if (faults.abort) note.code |= ABORTED;
      else if (faults.reset) note.code |= RESET;
      else if (faults.bytesPerSecond > 0) note.code |= THROTTLED;
      if (faults.abort || faults.reset || faults.timesOut) note.verdict = "denied";
    }
    note.a = faults.delayMs;
    note.b = faults.settings?.abort?.status ?? 0;
    note.c = faults.bytesPerSecond;
    note.text = asked ? `asked for by ${FAULT_FIELD}` : "";
    note.detail = faults.draws;
    return GateAnswer.pass;
  }

  describe({ code, a, b, c, text, detail }: GateNote): Pick<DecisionStep, "text" | "values"> {
    const values: Record<string, number | string> = {};
    const draws = detail as readonly number[];
    draws.forEach((draw, i) => {
      values[`draw${i + 1}`] = draw;
    });
    if (code === NOTHING) return { text: `none of ${this.source} was drawn`, values };
    if (code === TOO_MANY) return { text: `none: as many calls suffer one as ${this.source} allows`, values };
    const what: string[] = [];
    if (code & DELAYED) what.push(`delayed by ${ms(a)}`);
    if (code & ABORTED) what.push(`aborted with ${b}`);
    if (code & RESET) what.push("reset");
    if (code & THROTTLED) what.push(`throttled to ${c} bytes/s`);
    return { text: `${what.join(", ")}${text === "" ? "" : `, ${text}`} (${this.source})`, values };
  }

  nearest(): string {
    return `would have gone on without the fault of ${this.source}`;
  }
}

function hasFaults({ delay, abort, resetPercent, throttle }: FaultSettings): boolean {
  return delay !== null || abort !== null || resetPercent > 0 || throttle !== null;
}

/** Draws each kind for itself. */
function drawFaults(call: CallState, settings: AskedFaults): DrawnFaults {
  const { delay, abort, resetPercent, throttle } = settings;
  const faults = new DrawnFaults();
  faults.settings = settings;
  if (delay !== null && drawn(call, delay.percent, faults)) faults.delayMs = drawDelay(call, delay, faults);
  faults.abort = abort !== null && drawn(call, abort.percent, faults);
  faults.reset = drawn(call, resetPercent, faults);
  if (throttle !== null && drawn(call, throttle.percent, faults)) faults.bytesPerSecond = throttle.bytesPerSecond;
  return faults;
}

function drawn(call: CallState, percent: number, { draws }: DrawnFaults): boolean {
  if (percent <= 0 || percent >= 100) return percent > 0;
  const draw = call.tape.next();
  draws.push(draw);
  return draw * 100 < percent;
}

function drawDelay(call: CallState, { kind, ms: delayMs, maxMs }: FaultDelay, { draws }: DrawnFaults): number {
  if (kind === "fixed") return delayMs;
  const draw = call.tape.next();
  draws.push(draw);
  return kind === "uniform" ? delayMs + draw * (maxMs - delayMs) : Math.min(maxMs, -Math.log(1 - draw) * delayMs);
}

/** F3. Calls that are not timed as a whole (gRPC streams, sessions) wait for the whole delay. */
function limitDelay(
  call: CallState,
  { timeout: timeoutMs, timeoutLevel }: EffectivePolicy,
  faults: DrawnFaults,
  now: number,
): void {
  const { grpc, session } = call.facts as RequestFacts;
  const timed = !session && (!grpc || isUnary(call.plan as Plan) || timeoutLevel >= Level.method);
  const leftMs = timeoutMs - (now - call.decision.startedAt);
  if (!timed || faults.delayMs < leftMs) return;
  faults.delayMs = Math.max(0, leftMs);
  faults.timesOut = true;
}

const DELAYED = 1;
const ABORTED = 2;
const RESET = 4;
const THROTTLED = 8;
const NOTHING = 16;
const TOO_MANY = 32;
