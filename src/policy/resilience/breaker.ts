import type { ConditionSet } from "../resource/conditions.ts";
import { RollingWindow } from "./rolling-window.ts";

export interface BreakerSettings {
  /** 0: not by this rule. */
  readonly consecutiveFailures: number;
  /** 0..1; 0: not by this rule. */
  readonly failureRatio: number;
  readonly minRequests: number;
  readonly windowMs: number;
  readonly sleepMs: number;
  readonly on: ConditionSet;
}

/**
 * Stops calls to a service that fails, and probes it with one call at a time until one succeeds. Hystrix's rolling window and
 * single probe, with a rule for failures in a row beside it.
 *
 *     closed --too many failures--> open --sleep over, probe let through--> half-open
 *        ^                           ^                                        | |
 *        |                           +------------- probe failed -------------+ |
 *        +-------------------------- probe succeeded ---------------------------+
 *
 *     B1  Half-open lets exactly one probe through until it is judged or forgotten.
 *     B2  Open lets nothing through for sleepMs.
 *     B3  Results of calls that began before it opened do not close it.
 */
export class Breaker {
  readonly settings: BreakerSettings;
  readonly #window: RollingWindow;
  #state: BreakerState = "closed";
  #consecutive = 0;
  #openedAt = 0;

  constructor(settings: BreakerSettings) {
    this.settings = settings;
    this.#window = new RollingWindow(settings.windowMs, 10, 2);
  }

  /** As calls find it: an open one whose sleep is over still says "open" until a probe is let through. */
  get state(): BreakerState {
    return this.#state;
  }

  /** Asks leave for one attempt. A probe must be reported by succeeded, failed or forget with `probe` true. */
  admit(now: number): Admission {
    if (this.#state === "closed") return Admission.pass;
    if (this.#state === "half-open" || now - this.#openedAt < this.settings.sleepMs) return Admission.reject;
    this.#state = "half-open";
    return Admission.probe;
  }

  succeeded(probe: boolean, now: number): void {
    if (this.#state === "closed") {
      this.#consecutive = 0;
      if (this.settings.failureRatio > 0) this.#window.add(SUCCESSES, now);
    } else if (probe) {
      this.#state = "closed";
      this.#consecutive = 0;
      this.#window.clear();
    }
  }

  failed(probe: boolean, now: number): void {
    if (probe) {
      this.#open(now);
      return;
    }
    if (this.#state !== "closed") return;
    const { consecutiveFailures, failureRatio, minRequests } = this.settings;
    this.#consecutive++;
    if (consecutiveFailures > 0 && this.#consecutive >= consecutiveFailures) this.#open(now);
    else if (failureRatio > 0) {
      this.#window.add(FAILURES, now);
      const failures = this.#window.total(FAILURES, now);
      const calls = failures + this.#window.total(SUCCESSES, now);
      if (calls >= minRequests && failures >= failureRatio * calls) this.#open(now);
    }
  }

  /** A probe ended without saying anything of the service (its caller went away): the next call may probe at once. */
  forget(probe: boolean): void {
    if (probe && this.#state === "half-open") this.#state = "open";
  }

  /** Ms until a probe is let through; 0 when closed or when one may go now. */
  reopensInMs(now: number): number {
    return this.#state === "closed" ? 0 : Math.max(0, this.settings.sleepMs - (now - this.#openedAt));
  }

  /** Failures in a row, for explanations. */
  get consecutive(): number {
    return this.#consecutive;
  }

  #open(now: number): void {
    this.#state = "open";
    this.#openedAt = now;
  }
}

export type BreakerState = "closed" | "open" | "half-open";

export const Admission = { reject: 0, pass: 1, probe: 2 } as const;
export type Admission = (typeof Admission)[keyof typeof Admission];

const SUCCESSES = 0;
const FAILURES = 1;
