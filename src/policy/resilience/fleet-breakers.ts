import { FleetBreaker, type FleetWord } from "./fleet-breaker.ts";

/** What a process saw of a backend since it last said something. */
export interface BreakerEvidence {
  /** The backend and how its breaker is set. */
  readonly key: string;
  readonly quorum: number;
  readonly sleepMs: number;
  readonly evidenceMs: number;
  readonly calls: number;
  /** By its own evidence the process would have opened it. */
  readonly tripped: boolean;
  /** Of the word that it last heard. */
  readonly term: number;
  /** The lease under which it probed since, 0 for none. */
  readonly probe: number;
  readonly succeeded: boolean;
}

/** All breakers of a fleet. Nothing here has a timer: time goes on when a process meets the others. */
export class FleetBreakers {
  readonly #breakers = new Map<string, { readonly breaker: FleetBreaker; usedAt: number }>();

  /** Takes what a process saw and says what the fleet makes of it; null when too many breakers are kept already. */
  meet(process: string, seen: BreakerEvidence, now: number): FleetWord | null {
    const breaker = this.#breakerOf(seen, now);
    if (breaker === null) return null;
    breaker.tick(now);
    if (seen.probe > 0) breaker.probed(process, seen.probe, seen.succeeded, now);
    breaker.report(process, seen.term, seen.calls, seen.tripped, now);
    return breaker.word(process, now);
  }

  #breakerOf(seen: BreakerEvidence, now: number): FleetBreaker | null {
    const { quorum, sleepMs, evidenceMs } = seen;
    // A key says how its breaker is set; whose numbers say otherwise shares it with nobody.
    const key = `${quorum} ${sleepMs} ${evidenceMs} ${seen.key}`;
    let entry = this.#breakers.get(key);
    if (entry === undefined) {
      if (this.#breakers.size >= MAX_BREAKERS && !this.#forgetIdle(now)) return null;
      entry = { breaker: new FleetBreaker({ quorum, sleepMs, evidenceMs }), usedAt: now };
      this.#breakers.set(key, entry);
    }
    entry.usedAt = now;
    return entry.breaker;
  }

  #forgetIdle(now: number): boolean {
    for (const [key, { usedAt }] of this.#breakers) if (now - usedAt > IDLE_MS) this.#breakers.delete(key);
    return this.#breakers.size < MAX_BREAKERS;
  }
}

const MAX_BREAKERS = 10_000;
const IDLE_MS = 600_000;
