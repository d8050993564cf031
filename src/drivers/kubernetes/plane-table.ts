/**
 * Which control planes are alive, by the Lease object that each of them renews, as a pure machine. Nobody's wall clock counts: a plane is dead when its Lease has not changed for `periodMs` by the clock of who
 * looks, and who looks was in touch all the time.
 *
 *     mentioned by an entry --Lease seen--> alive --not changed for a period, Lease deleted--> dead --Lease changes--> alive
 *               '----------- never seen within a period -----------------------------------------^
 */
export class PlaneTable {
  readonly #periodMs: number;
  readonly #planes = new Map<string, Plane>();

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** Its Lease is there, in this version. True: it is back from the dead. */
  seen(plane: string, version: string, now: number): boolean {
    const known = this.#planes.get(plane);
    if (known === undefined) {
      this.#planes.set(plane, { version, changedAt: now, deadAt: null });
      return false;
    }
    if (known.version === version) return false;
    const back = known.deadAt !== null;
    known.version = version;
    known.changedAt = now;
    known.deadAt = null;
    return back;
  }

  /** Its Lease was deleted. True: it was alive until now. */
  gone(plane: string, now: number): boolean {
    const known = this.#planes.get(plane);
    if (known === undefined || known.deadAt !== null) return false;
    known.version = "";
    known.deadAt = now;
    return true;
  }

  /** Entries name it: its Lease may still be on its way. */
  mentioned(plane: string, now: number): void {
    if (!this.#planes.has(plane)) this.#planes.set(plane, { version: "", changedAt: now, deadAt: null });
  }

  /** Renewals may have been missed until now: everybody has a full period. */
  touched(now: number): void {
    for (const plane of this.#planes.values()) if (plane.deadAt === null) plane.changedAt = now;
  }

  /** Those who died since. */
  advance(now: number): string[] {
    const died: string[] = [];
    for (const [name, plane] of this.#planes) {
      if (plane.deadAt !== null || now - plane.changedAt < this.#periodMs) continue;
      plane.deadAt = now;
      died.push(name);
    }
    return died;
  }

  isDead(plane: string): boolean {
    return (this.#planes.get(plane)?.deadAt ?? null) !== null;
  }

  /** Those who died before `time`: with the version of their Lease then, "" where there is none. */
  deadBefore(time: number): { readonly plane: string; readonly version: string }[] {
    const dead: { plane: string; version: string }[] = [];
    for (const [plane, { deadAt, version }] of this.#planes)
      if (deadAt !== null && deadAt < time) dead.push({ plane, version });
    return dead;
  }

  forget(plane: string): void {
    this.#planes.delete(plane);
  }
}

interface Plane {
  /** Of its Lease; "": none was seen. */
  version: string;
  /** When that was seen to be another one. */
  changedAt: number;
  deadAt: number | null;
}
