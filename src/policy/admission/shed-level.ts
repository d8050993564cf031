/**
 * Which priorities to turn away so that a share of the calls is: the lowest first. Remembers how often each priority came lately, and finds the level:
 *
 *     priority   0    1    2    3  ...   9   10
 *     turned     all  all  all  some     none      level 3.4: everything below 3, and of 3 four in ten
 *
 *     S1  A call is never turned away while one of a lower priority passes at the same level.
 *     S2  Priority 10 is never turned away.
 *     S3  As long as the mix of priorities stays, the share that is turned away is the one that was asked for, up to the share of the calls below 10.
 *
 * After DAGOR (Zhou et al., "Overload control for scaling WeChat microservices", SoCC 2018), which counts calls by priority and moves a cut among them.
 */
export class ShedLevel {
  readonly #seen = new Float64Array(PRIORITIES);
  #total = 0;
  #agedAt = Number.NEGATIVE_INFINITY;
  #share = 0;
  #level = 0;

  /** A call of this priority came. Gives the level at which the given share of calls is turned away. */
  see(priority: number, share: number, now: number): number {
    const aged = this.#age(now);
    this.#seen[priority]++;
    this.#total++;
    if (aged || share !== this.#share) {
      this.#share = share;
      this.#level = share <= 0 ? 0 : this.#find(share);
    }
    return this.#level;
  }

  #find(share: number): number {
    let left = share * this.#total;
    for (let priority = 0; priority < PRIORITIES - 1; priority++) {
      const seen = this.#seen[priority];
      if (left < seen) return priority + left / seen;
      left -= seen;
    }
    return PRIORITIES - 1;
  }

  /** A fifth of what was seen is forgotten every AGE_MS. */
  #age(now: number): boolean {
    if (this.#agedAt === Number.NEGATIVE_INFINITY) {
      this.#agedAt = now;
      return true;
    }
    const steps = Math.floor((now - this.#agedAt) / AGE_MS);
    if (steps <= 0) return false;
    this.#agedAt += steps * AGE_MS;
    const keep = 0.8 ** steps;
    this.#total = 0;
    for (let priority = 0; priority < PRIORITIES; priority++) this.#total += this.#seen[priority] *= keep;
    return true;
  }
}

/** 0..1: how likely a call of this priority is turned away at a level. */
export function shedChance(priority: number, level: number): number {
  const chance = level - priority;
  return chance <= 0 || priority >= PRIORITIES - 1 ? 0 : Math.min(1, chance);
}

/** 0 to 10. */
const PRIORITIES = 11;
const AGE_MS = 200;
