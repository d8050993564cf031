import type { ConditionSet } from "../resource/conditions.ts";
import { RollingWindow } from "./rolling-window.ts";

export interface BreakerSettings {
  /** 0: not by this rule. */
  readonly consecutiveFailures: number;
  /** 0..1; 0: not by this rule. */
  readonly failureRatio: number;
  /** 0..1: opens when so many of the window's calls were slow; 0: not by this rule. */
  readonly slowRatio: number;
  /** What took longer was slow. */
  readonly slowMs: number;
  readonly minRequests: number;
  readonly windowMs: number;
  readonly sleepMs: number;
  /** Processes whose evidence opens it for the whole fleet (fleet-breaker.ts); 0: this process decides for itself. */
  readonly quorum: number;
  readonly on: ConditionSet;
}

/**
 * Stops calls to a service that fails, and probes it with one call at a time until one succeeds. Hystrix's rolling window and
 * single probe, with a rule for failures in a row beside it, and resilience4j's for slow calls (slowCallRateThreshold, slowCallDurationThreshold: whether
 * they failed or not).
 *
 *     closed --too many failures--> open --sleep over, probe let through--> half-open
 *        ^                           ^                                        | |
 *        |                           +------------- probe failed -------------+ |
 *        +-------------------------- probe succeeded ---------------------------+
 *
 *     B1  Half-open lets exactly one probe through until it is judged or forgotten.
 *     B2  Open lets nothing through for sleepMs.
 *     B3  Results of calls that began before it opened do not close it.
 *     B4  A probe that is slow, where slowness opens, opens it again.
 */
export class Breaker {
  readonly settings: BreakerSettings;
  readonly #window: RollingWindow;
  /** Some ratio is watched. */
  readonly #counts: boolean;
  #state: BreakerState = "closed";
  #consecutive = 0;
  #openedAt = 0;
  #openings = 0;

  constructor(settings: BreakerSettings) {
    this.settings = settings;
    this.#counts = settings.failureRatio > 0 || settings.slowRatio > 0;
    this.#window = new RollingWindow(settings.windowMs, 10, 3);
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

  /** `tookMs`: how long the attempt was under way. */
  succeeded(probe: boolean, now: number, tookMs = 0): void {
    if (this.#state === "closed" && !this.#counts) {
      this.#consecutive = 0;
      return;
    }
    const slow = this.#isSlow(tookMs);
    if (this.#state === "closed") {
      this.#consecutive = 0;
      this.#count(SUCCESSES, slow, now);
      if (slow) this.#judge(now);
    } else if (probe) {
      if (slow) {
        this.#open(now);
        return;
      }
      this.reset();
    }
  }

  /** Closes it, with nothing counted. */
  reset(): void {
    this.#state = "closed";
    this.#consecutive = 0;
    this.#window.clear();
  }

  failed(probe: boolean, now: number, tookMs = 0): void {
    if (probe) {
      this.#open(now);
      return;
    }
    if (this.#state !== "closed") return;
    const { consecutiveFailures } = this.settings;
    this.#consecutive++;
    this.#count(FAILURES, this.#isSlow(tookMs), now);
    if (consecutiveFailures > 0 && this.#consecutive >= consecutiveFailures) this.#open(now);
    else this.#judge(now);
  }

  /** A probe ended without saying anything of the service (its caller went away): the next call may probe at once. */
  forget(probe: boolean): void {
    if (probe && this.#state === "half-open") this.#state = "open";
  }

  /** It goes by what this process sees. */
  voters(): number {
    return 0;
  }

  /** Ms until a probe is let through; 0 when closed or when one may go now. */
  reopensInMs(now: number): number {
    return this.#state === "closed" ? 0 : Math.max(0, this.settings.sleepMs - (now - this.#openedAt));
  }

  /** Failures in a row, for explanations. */
  get consecutive(): number {
    return this.#consecutive;
  }

  /** How often it opened. */
  get openings(): number {
    return this.#openings;
  }

  /** Of the window: calls, failures among them, and slow ones. Zeros where no ratio is watched. */
  counts(now: number): { calls: number; failures: number; slow: number } {
    const failures = this.#window.total(FAILURES, now);
    return { calls: failures + this.#window.total(SUCCESSES, now), failures, slow: this.#window.total(SLOW, now) };
  }

  #isSlow(tookMs: number): boolean {
    return this.settings.slowRatio > 0 && tookMs > this.settings.slowMs;
  }

  #count(kind: number, slow: boolean, now: number): void {
    if (!this.#counts) return;
    this.#window.add(kind, now);
    if (slow) this.#window.add(SLOW, now);
  }

  #judge(now: number): void {
    if (!this.#counts) return;
    const { failureRatio, slowRatio, minRequests } = this.settings;
    const failures = this.#window.total(FAILURES, now);
    const calls = failures + this.#window.total(SUCCESSES, now);
    if (calls < minRequests) return;
    if (failureRatio > 0 && failures >= failureRatio * calls) this.#open(now);
    else if (slowRatio > 0 && this.#window.total(SLOW, now) >= slowRatio * calls) this.#open(now);
  }

  #open(now: number): void {
    if (this.#state === "closed") this.#openings++;
    this.#state = "open";
    this.#openedAt = now;
  }
}

export type BreakerState = "closed" | "open" | "half-open";

export const Admission = { reject: 0, pass: 1, probe: 2 } as const;
export type Admission = (typeof Admission)[keyof typeof Admission];

const SUCCESSES = 0;
const FAILURES = 1;
const SLOW = 2;
