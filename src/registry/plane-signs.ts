/**
 * Which control planes live, as a pure machine: what is seen of their signs of life (each writes its own again and again) comes in, by the clock of who looks. A sign is
 * anything that is another one after each writing.
 *
 *     first heard of --> live --no other sign for `deadMs`, while in touch; its sign was taken away--> dead --another sign--> live
 *
 * Invariants (plane-signs.test.ts, by number):
 *  P1 who writes more often than every `deadMs` is never dead;
 *  P2 while nobody is in touch, nobody dies: after a gap everybody has the whole period again;
 *  P3 a plane without any sign is dead `deadMs` after it was named first.
 */
export class PlaneSigns<Sign extends string | number> {
  readonly #deadMs: number;
  readonly #planes = new Map<string, PlaneRecord<Sign>>();

  constructor(deadMs: number) {
    this.#deadMs = deadMs;
  }

  /** A plane's sign is there. True: the plane is back from the dead. */
  seen(plane: string, sign: Sign, now: number): boolean {
    const record = this.named(plane, now);
    if (record.sign === sign) return false;
    const back = record.deadAt !== null;
    record.sign = sign;
    record.since = now;
    record.deadAt = null;
    return back;
  }

  /** A plane's sign was taken away. True: the plane was live until now. */
  ended(plane: string, now: number): boolean {
    const record = this.named(plane, now);
    if (record.deadAt !== null) return false;
    record.sign = null;
    record.deadAt = now;
    return true;
  }

  /** Something is kept in a plane's name, whose sign may still be on its way. */
  named(plane: string, now: number): PlaneRecord<Sign> {
    let record = this.#planes.get(plane);
    if (record === undefined) {
      record = { sign: null, since: now, deadAt: null };
      this.#planes.set(plane, record);
    }
    return record;
  }

  /** There was a gap until now. */
  outOfTouch(now: number): void {
    for (const record of this.#planes.values()) if (record.deadAt === null) record.since = now;
  }

  /** Those who have died since. */
  advance(now: number): string[] {
    const died: string[] = [];
    for (const [plane, record] of this.#planes) {
      if (record.deadAt !== null || now - record.since < this.#deadMs) continue;
      record.deadAt = now;
      died.push(plane);
    }
    return died;
  }

  isDead(plane: string): boolean {
    return (this.#planes.get(plane)?.deadAt ?? null) !== null;
  }

  /** Those that are dead for so long that nothing of them can be left, each with its last sign; null: it was taken away, or never seen. */
  deadFor(ms: number, now: number): { readonly plane: string; readonly sign: Sign | null }[] {
    const dead: { plane: string; sign: Sign | null }[] = [];
    for (const [plane, { sign, deadAt }] of this.#planes)
      if (deadAt !== null && now - deadAt >= ms) dead.push({ plane, sign });
    return dead;
  }

  forget(plane: string): void {
    this.#planes.delete(plane);
  }
}

interface PlaneRecord<Sign> {
  /** The last one; null: there is none. */
  sign: Sign | null;
  /** When it was first seen, ms. */
  since: number;
  /** Null: it lives. */
  deadAt: number | null;
}
