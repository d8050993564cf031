import { Admission, type Breaker, type BreakerSettings, type BreakerState } from "./breaker.ts";
import type { FleetWord } from "./fleet-breaker.ts";
import type { BreakerEvidence } from "./fleet-breakers.ts";

/** What calls need of a breaker. */
export interface CallBreaker {
  readonly settings: BreakerSettings;
  readonly state: BreakerState;
  admit(now: number): Admission;
  succeeded(probe: boolean, now: number, tookMs?: number): void;
  failed(probe: boolean, now: number, tookMs?: number): void;
  forget(probe: boolean): void;
  reopensInMs(now: number): number;
  readonly consecutive: number;
  /** How often it opened. */
  readonly openings: number;
  /** Processes whose evidence decides; 0: this one alone. */
  voters(now: number): number;
  counts(now: number): { calls: number; failures: number; slow: number };
}

/**
 * A breaker that the fleet decides: this process's part of it. Its own breaker goes on judging by what this process sees; that is the evidence it
 * reports, and it acts by it only while it is alone (nobody else has calls to the service) or has not heard of the fleet for `silenceMs`.
 *
 *     fleet's word     closed: pass, whatever the own breaker thinks     open: reject     half-open: reject, but for the one leased probe
 */
export class QuorumBreaker implements CallBreaker {
  /** Unique in the fleet: the backend with its settings. */
  readonly key: string;
  readonly #own: Breaker;
  #word: FleetWord | null = null;
  #heardAt = 0;
  /** A leased probe has been let through, and has not been judged. */
  #probing = 0;
  #calls = 0;
  #result: ProbeResult | null = null;

  constructor(key: string, own: Breaker) {
    this.key = key;
    this.#own = own;
  }

  get settings(): BreakerSettings {
    return this.#own.settings;
  }

  get state(): BreakerState {
    return this.#word !== null && this.#word.voters !== 1 ? this.#word.state : this.#own.state;
  }

  get consecutive(): number {
    return this.#own.consecutive;
  }

  get openings(): number {
    return this.#own.openings;
  }

  voters(now: number): number {
    return this.#governing(now)?.voters ?? 0;
  }

  counts(now: number): { calls: number; failures: number; slow: number } {
    return this.#own.counts(now);
  }

  get term(): number {
    return this.#word?.term ?? 0;
  }

  /** What to tell the fleet: calls since last asked, the own verdict, and how a leased probe went. */
  evidence(): BreakerEvidence {
    const { quorum, sleepMs, windowMs: evidenceMs } = this.settings;
    const { lease: probe, succeeded } = this.#result ?? NOT_PROBED;
    const seen = { calls: this.#calls, tripped: this.#own.state !== "closed", term: this.term, probe, succeeded };
    this.#calls = 0;
    this.#result = null;
    return { key: this.key, quorum, sleepMs, evidenceMs, ...seen };
  }

  /** What could not be told. */
  keep({ calls, probe: lease, succeeded }: BreakerEvidence): void {
    this.#calls += calls;
    if (lease > 0) this.#result ??= { lease, succeeded };
  }

  /** The fleet's word. */
  hear(word: FleetWord, now: number): void {
    if (this.#word !== null && word.term !== this.#word.term) this.#own.reset();
    this.#word = word;
    this.#heardAt = now;
    if (word.probe === 0) this.#probing = 0;
  }

  admit(now: number): Admission {
    const word = this.#governing(now);
    this.#calls++;
    if (word === null) return this.#own.admit(now);
    if (word.state === "closed") {
      // The own breaker keeps watching: its probes are calls like others here.
      return this.#own.admit(now) === Admission.probe ? Admission.probe : Admission.pass;
    }
    if (word.probe === 0 || this.#probing !== 0) return Admission.reject;
    this.#probing = word.probe;
    return Admission.probe;
  }

  succeeded(probe: boolean, now: number, tookMs?: number): void {
    if (this.#judged(probe, true)) return;
    this.#own.succeeded(probe, now, tookMs);
  }

  failed(probe: boolean, now: number, tookMs?: number): void {
    if (this.#judged(probe, false)) return;
    this.#own.failed(probe, now, tookMs);
  }

  forget(probe: boolean): void {
    if (probe && this.#probing !== 0) this.#probing = 0;
    else this.#own.forget(probe);
  }

  reopensInMs(now: number): number {
    const word = this.#governing(now);
    if (word === null) return this.#own.reopensInMs(now);
    return Math.max(0, word.reopensInMs - (now - this.#heardAt));
  }

  /** A leased probe's result is the fleet's. */
  #judged(probe: boolean, succeeded: boolean): boolean {
    if (!probe || this.#probing === 0) return false;
    this.#result = { lease: this.#probing, succeeded };
    this.#probing = 0;
    // Used up: until the fleet says more, no further call goes.
    if (this.#word !== null) this.#word = { ...this.#word, probe: 0 };
    return true;
  }

  #governing(now: number): FleetWord | null {
    if (this.#word === null || this.#word.voters === 1 || now - this.#heardAt > SILENCE_MS) return null;
    return this.#word;
  }
}

interface ProbeResult {
  readonly lease: number;
  readonly succeeded: boolean;
}

/** Words come at least every second; after so long without one a process goes by its own evidence. */
const SILENCE_MS = 10_000;
const NOT_PROBED: ProbeResult = { lease: 0, succeeded: false };
