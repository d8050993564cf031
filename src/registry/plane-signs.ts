/**
 * Which control planes live, as a pure machine: listings of their signs of life come in (a key each, written again and again), by the clock of who looks.
 *
 *     sign seen ---> live --no other sign for `deadMs`, while in touch---> dead --another sign---> live
 *
 * Invariants (plane-signs.test.ts, by number):
 *  P1 who writes more often than every `deadMs` is never dead;
 *  P2 while nobody is in touch, nobody dies: after a gap everybody has the whole period again;
 *  P3 a plane without any sign is dead `deadMs` after it was asked for first.
 */
export class PlaneSigns {
  readonly #deadMs: number;
  readonly #planes = new Map<string, { sign: number; since: number; dead: boolean }>();

  constructor(deadMs: number) {
    this.#deadMs = deadMs;
  }

  /** `signs`: plane to a number that is another one after each sign. `others`: planes that are named elsewhere. True: who is dead has changed. */
  seen(signs: ReadonlyMap<string, number>, others: Iterable<string>, now: number): boolean {
    for (const plane of others) if (!signs.has(plane)) this.#see(plane, 0, now);
    for (const [plane, sign] of signs) this.#see(plane, sign, now);
    let changed = false;
    for (const record of this.#planes.values()) {
      const dead = now - record.since >= this.#deadMs;
      if (dead !== record.dead) changed = true;
      record.dead = dead;
    }
    return changed;
  }

  /** There was a gap. */
  outOfTouch(now: number): void {
    for (const record of this.#planes.values()) if (!record.dead) record.since = now;
  }

  isDead(plane: string): boolean {
    return this.#planes.get(plane)?.dead === true;
  }

  /** Those that were dead for so long that nothing of them can be left. */
  deadFor(ms: number, now: number): string[] {
    return [...this.#planes].filter(([, { dead, since }]) => dead && now - since >= ms).map(([plane]) => plane);
  }

  forget(plane: string): void {
    this.#planes.delete(plane);
  }

  #see(plane: string, sign: number, now: number): void {
    const record = this.#planes.get(plane);
    if (record === undefined) this.#planes.set(plane, { sign, since: now, dead: false });
    else if (record.sign !== sign) {
      record.sign = sign;
      record.since = now;
    }
  }
}
