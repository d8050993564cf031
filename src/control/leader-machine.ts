/**
 * Who of several does what only one may do, as a machine: what the store shows and `now` (a monotonic clock of one's own) in, what to ask of the store out. As Kubernetes elects leaders (client-go
 * leaderelection): nobody reads a time that somebody else wrote.
 *
 *     standing by --record absent, released, or for a lease unchanged or lost--> taking --put, as nobody else was first--> leading
 *        ^                                                                        | no                                     | renews every third of the lease
 *        '------------------------------------------------------------------------'<-- another one holds it, or not renewed in time --'
 *
 * 1. At one instant at most one leads: it leads from when it sent what the store took until `leaseMs - marginMs` later, while others wait for `leaseMs` from when they saw it. So clocks may
 *    differ in rate by marginMs / leaseMs.
 * 2. What came of a put of which nothing was heard shows in the record, which says which put it was: it counts from when that was sent.
 * 3. A record that another one changes, however often, is never taken.
 * 4. A record that is there no more was lost with the store's data: whoever it named last may not know yet, and leads for up to a lease. (Who was not there before cannot tell that from a new store.)
 */
export class LeaderMachine {
  readonly #id: string;
  readonly #times: LeaderTimes;
  /** Newest record seen; null before the first look. */
  #seen: {
    readonly record: LeaderRecord | null;
    readonly version: string;
    /** When it may be taken, by our clock, if it stands unchanged until then. */
    readonly freeAtMs: number;
  } | null = null;
  /** When each of our puts was sent of which nothing was heard, by its number. */
  readonly #sent = new Map<number, number>();
  #puts = 0;
  #leadsUntilMs = Number.NEGATIVE_INFINITY;
  #renewAtMs = 0;
  #lookAtMs = Number.NEGATIVE_INFINITY;

  constructor(id: string, times: LeaderTimes) {
    this.#id = id;
    this.#times = times;
  }

  leads(now: number): boolean {
    return now < this.#leadsUntilMs;
  }

  /** When `leads` becomes false by itself. */
  get leadsUntilMs(): number {
    return this.#leadsUntilMs;
  }

  get holder(): string {
    return this.#seen?.record?.holder ?? "";
  }

  /** What to ask of the store now; a number: nothing before then. */
  next(now: number): LeaderAsk | number {
    if (this.#seen === null || now >= this.#lookAtMs) return { ask: "look" };
    const { record, version, freeAtMs } = this.#seen;
    if (record !== null && record.holder === this.#id) {
      if (now < this.#renewAtMs) return Math.min(this.#renewAtMs, this.#lookAtMs);
      return this.#put(version, this.leads(now) ? record.term : record.term + 1, now);
    }
    if (now < freeAtMs) return Math.min(freeAtMs, this.#lookAtMs);
    return this.#put(version, (record?.term ?? 0) + 1, now);
  }

  /** The store showed this. */
  saw(record: LeaderRecord | null, version: string, now: number): void {
    if (this.#seen?.version !== version) {
      const lost = record === null && this.#seen !== null && !this.leads(now);
      const waitMs = lost ? this.#times.leaseMs : record === null || record.holder === "" ? 0 : record.leaseMs;
      this.#seen = { record, version, freeAtMs: now + waitMs };
    }
    this.#lookAtMs = now + this.#times.lookMs;
    if (record?.holder !== this.#id) {
      // Whoever changes it, changed it after we had failed to renew it in time, or had released it.
      this.#leadsUntilMs = Number.NEGATIVE_INFINITY;
      return;
    }
    const sentMs = this.#sent.get(record.put);
    if (sentMs !== undefined) this.#holds(sentMs);
  }

  /** The store took a put: `version` is the record's; null: somebody else was first. */
  took(record: LeaderRecord, version: string | null, now: number): void {
    if (version === null) {
      this.#lookAtMs = now;
      return;
    }
    this.saw(record, version, now);
  }

  /** Nothing was heard of what was asked, which may have been done or not. */
  failed(now: number): void {
    // What is there now is not known: look, but not without a pause.
    this.#lookAtMs = now + this.#times.lookMs / 4;
    if (this.#seen !== null) this.#renewAtMs = Math.max(this.#renewAtMs, this.#lookAtMs);
  }

  /** The record to leave behind, so that another one need not wait; null where there is nothing to release. It does not lead from now on. */
  release(now: number): Extract<LeaderAsk, { ask: "put" }> | null {
    const led = this.leads(now);
    this.#leadsUntilMs = Number.NEGATIVE_INFINITY;
    if (!led || this.#seen?.record == null) return null;
    return { ask: "put", record: { ...this.#seen.record, holder: "" }, expected: this.#seen.version };
  }

  #put(expected: string, term: number, now: number): LeaderAsk {
    const put = ++this.#puts;
    this.#sent.set(put, now);
    for (const old of this.#sent.keys()) if (this.#sent.size > MAX_SENT) this.#sent.delete(old);
    // Until it is answered nothing else is asked; if it is not, it is looked at.
    return { ask: "put", record: { holder: this.#id, term, put, leaseMs: this.#times.leaseMs }, expected };
  }

  #holds(sentMs: number): void {
    const { leaseMs, marginMs } = this.#times;
    this.#leadsUntilMs = Math.max(this.#leadsUntilMs, sentMs + leaseMs - marginMs);
    this.#renewAtMs = sentMs + leaseMs / 3;
  }
}

export interface LeaderTimes {
  /** How long others leave a record alone that does not change. */
  readonly leaseMs: number;
  /** So much earlier does a leader stop. */
  readonly marginMs: number;
  /** Between two looks at the record. */
  readonly lookMs: number;
}

export interface LeaderRecord {
  /** Unique to a run of its process; "": nobody. */
  readonly holder: string;
  /** Grows whenever somebody begins to lead. */
  readonly term: number;
  /** The holder's number of the put that wrote it. */
  readonly put: number;
  readonly leaseMs: number;
}

export type LeaderAsk =
  | { readonly ask: "look" }
  | { readonly ask: "put"; readonly record: LeaderRecord; readonly expected: string };

const MAX_SENT = 16;
