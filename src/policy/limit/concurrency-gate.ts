import { counted } from "../../core/counted.ts";
import type { DecisionStep } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import { errorAnswer } from "../error-answer.ts";
import type { CallState } from "../machine/call-state.ts";
import { type Gate, GateAnswer } from "../machine/gate.ts";
import { ms } from "../resource/duration.ts";
import { type ConcurrencyLimiter, Entry, type Lane, Waiter } from "./concurrency-limiter.ts";
import { isCountedBefore, tellCounted } from "./counted-before.ts";
import { keyText } from "./limit-key.ts";
import type { LimiterState } from "./limiter.ts";

/**
 * Holds calls in flight below a number for each key; those beyond it wait for their turn, or are refused. Of the call it keeps its lane while it runs,
 * its place in the queue while it waits.
 *
 * Note: code = how it ended; a = in flight when it came, b = waiting when it came, c = ms it waited; text = the key.
 */
export class ConcurrencyGate implements Gate {
  readonly rule = "limit";
  readonly source: string;
  readonly #limiter: LimiterState;
  readonly #inFlight: ConcurrencyLimiter;
  /** Enforced at gateways and services: the first tells the second. */
  readonly #both: boolean;

  constructor(limiter: LimiterState, inFlight: ConcurrencyLimiter, both: boolean) {
    this.#limiter = limiter;
    this.#inFlight = inFlight;
    this.#both = both;
    this.source = `RateLimit ${limiter.name}`;
  }

  enter(call: CallState, slot: number, now: number): GateAnswer {
    const { counts, maxWaitMs, name, shadow } = this.#limiter;
    if (this.#both && isCountedBefore(call, name)) {
      call.decision.note(this, "skipped").code = Ended.counted;
      return GateAnswer.pass;
    }
    if (this.#both && call.caller.place === "gateway") tellCounted(call, name);
    const key = this.#limiter.keyOf(call);
    const lane = this.#inFlight.lane(key);
    const note = call.decision.note(this, "ok");
    note.a = call.tape.read(lane.running);
    note.b = call.tape.read(lane.waiting);
    note.text = key;
    const entry = this.#enter(call, lane);
    if (entry === Entry.running) {
      counts.passed++;
      call.memory[slot] = lane;
      return GateAnswer.pass;
    }
    if (shadow) {
      this.#inFlight.watch(lane);
      call.memory[slot] = lane;
      counts.shadow++;
      note.verdict = "shadow";
      note.code = Ended.full;
      return GateAnswer.pass;
    }
    if (entry === Entry.refused) {
      note.code = Ended.full;
      return this.#refuse(call, note);
    }
    call.memory[slot] = this.#inFlight.wait(lane, call);
    note.code = Ended.waiting;
    note.c = now;
    call.waitMs = maxWaitMs;
    return GateAnswer.wait;
  }

  /** A decision that is played again goes the way it went, whoever is in flight now. */
  #enter(call: CallState, lane: Lane): Entry {
    const now = this.#inFlight.enter(lane);
    const then = call.tape.read(now) as Entry;
    if (then === now) return now;
    if (then === Entry.running) this.#inFlight.watch(lane);
    else if (now === Entry.running) this.#inFlight.leave(lane);
    return then;
  }

  /** Its turn has come, or its patience is over. */
  resumed(call: CallState, slot: number, now: number): GateAnswer {
    const waiter = call.memory[slot] as Waiter;
    const granted = call.tape.read(waiter.granted ? 1 : 0) === 1;
    const note = call.decision.notes.findLast(({ gate }) => gate === this) as GateNote;
    note.c = now - note.c;
    if (granted) {
      note.code = Ended.waited;
      this.#limiter.counts.passed++;
      this.#limiter.counts.waited++;
      return GateAnswer.pass;
    }
    note.code = Ended.gaveUp;
    return this.#refuse(call, note);
  }

  left(call: CallState, slot: number): void {
    const held = call.memory[slot] as Lane | Waiter | undefined;
    if (held === undefined) return;
    if (held instanceof Waiter && !held.granted) {
      this.#inFlight.giveUp(held);
      return;
    }
    const next = this.#inFlight.leave(held instanceof Waiter ? held.lane : held);
    next?.call.wake();
  }

  #refuse(call: CallState, note: GateNote): GateAnswer {
    const { counts, name, requests } = this.#limiter;
    note.verdict = "denied";
    counts.denied++;
    const message = `rate limit ${name}: ${counted(requests, "call")} ${requests === 1 ? "is" : "are"} in flight already`;
    call.response = errorAnswer("resource_exhausted", 429, "TOO_MANY_IN_FLIGHT", message, true, ["retry-after", "1"]);
    return GateAnswer.respond;
  }

  describe({ a: running, b: waiting, c: waitedMs, code, text: key }: GateNote): Pick<DecisionStep, "text" | "values"> {
    const { name, requests, inFlight, shadow } = this.#limiter;
    if (code === Ended.counted) return { text: `${name}: counted by the gateway`, values: {} };
    const who = key === "" ? "" : ` for ${keyText(key)}`;
    const queue = inFlight !== null && inFlight.maxQueue > 0 ? `, ${waiting} of ${inFlight.maxQueue} waiting` : "";
    const how = shadow && code === Ended.full ? "; let pass, since the limit only watches" : "";
    const wait =
      code === Ended.waited ? `; waited ${ms(waitedMs)}` : code === Ended.gaveUp ? `; no turn in ${ms(waitedMs)}` : "";
    const values = { inFlight: running, waiting, ...(key === "" ? {} : { key: keyText(key) }) };
    return { text: `${name}: ${running} of ${requests} in flight${queue}${who}${wait}${how}`, values };
  }

  nearest({ code }: GateNote): string {
    if (code === Ended.gaveUp) return `might have passed with a longer maxWait, or more requests in ${this.source}`;
    return `would have passed with one call less in flight, a longer maxQueue, or more requests in ${this.source}`;
  }
}

const Ended = { ran: 0, waiting: 1, waited: 2, gaveUp: 3, full: 4, counted: 5 } as const;
