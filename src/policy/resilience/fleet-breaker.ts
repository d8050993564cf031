/** How a breaker that the whole fleet shares is set. */
export interface FleetBreakerSettings {
  /** Processes that must have found the service failing, at least 2: one alone never opens it. */
  readonly quorum: number;
  readonly sleepMs: number;
  /** How long what a process reported counts, ms. */
  readonly evidenceMs: number;
}

/** What a process hears of a breaker. */
export interface FleetWord {
  readonly state: "closed" | "open" | "half-open";
  /** Ms until a probe is let through; 0 unless open. */
  readonly reopensInMs: number;
  /** Half-open: this process may let one call through, and says how it went. The lease's number goes with the result; 0: it may not. */
  readonly probe: number;
  /** Counts the times that it closed. Evidence from before the last of them says nothing of now. */
  readonly term: number;
  /** Processes with calls to the service, and while it is not closed: when it opened. Alone, a process goes by its own evidence. */
  readonly voters: number;
}

/**
 * One breaker for a fleet, as the control plane keeps it. Processes report what they see; the breaker opens when at least `quorum` of them, and more
 * than half of all that have calls, found the service failing in the last `evidenceMs`. So a process with a broken network card trips nobody.
 * After the sleep one process gets the lease of the one probe; when it says nothing, another gets it.
 *
 *     closed --quorum and majority of fresh evidence--> open --sleep over--> half-open: one lease at a time
 *        ^                                                ^                     | |
 *        |                                                '---- probe failed ---' |
 *        '------------------------------ probe succeeded --------------------------'
 *
 *     Q1  At most one probe lease is out at any time; results of older leases count for nothing.
 *     Q2  Evidence of fewer than `quorum` processes never opens it.
 *     Q3  A process that says nothing any more votes no more after evidenceMs, and loses the lease after the sleep.
 */
export class FleetBreaker {
  readonly settings: FleetBreakerSettings;
  #state: FleetWord["state"] = "closed";
  #openedAt = 0;
  #openedBy = 0;
  /** Whoever had calls longest ago first. */
  readonly #evidence = new Map<string, Evidence>();
  /** Of them: how many found the service failing. */
  #failing = 0;
  #prober = "";
  #lease = 0;
  #term = 0;
  #leaseEndsAt = 0;
  /** Processes with calls, with when they were last heard of: one of them probes. Whose turn is next comes first. */
  readonly #candidates = new Map<string, number>();

  constructor(settings: FleetBreakerSettings) {
    this.settings = settings;
  }

  get state(): FleetWord["state"] {
    return this.#state;
  }

  /** Processes that may be asked to probe. */
  get candidates(): number {
    return this.#candidates.size;
  }

  /** Who has the probe's lease, "" for nobody. */
  get prober(): string {
    return this.#prober;
  }

  /** A process had `calls` since it last reported; `tripped`: by its own rules the breaker would be open, in the `term` that it last heard of. True when the fleet is to be told. */
  report(process: string, term: number, calls: number, tripped: boolean, now: number): boolean {
    const known = this.#evidence.get(process);
    if (known === undefined && this.#evidence.size >= MAX_PROCESSES) return false;
    const before = this.voters(now);
    if (term !== this.#term) tripped = false;
    if (calls > 0 || tripped) {
      this.#drop(process);
      this.#evidence.set(process, { tripped, at: now });
      if (tripped) this.#failing++;
    } else if (known?.tripped === true) {
      known.tripped = false;
      this.#failing--;
    }
    if (this.#state !== "closed") {
      if (this.#candidates.has(process) || (calls > 0 && this.#candidates.size < MAX_PROCESSES))
        this.#candidates.set(process, now);
      return this.tick(now);
    }
    const voters = this.voters(now);
    const failing = this.#failing;
    if (failing < Math.max(2, this.settings.quorum) || failing * 2 <= voters) return voters !== before;
    this.#open(now);
    return true;
  }

  /** How the probe of a lease went. True when the fleet is to be told. */
  probed(process: string, lease: number, succeeded: boolean, now: number): boolean {
    if (this.#state !== "half-open" || process !== this.#prober || lease !== this.#lease) return false;
    this.#prober = "";
    if (succeeded) {
      this.#state = "closed";
      this.#term++;
      this.#forget();
      this.#candidates.clear();
    } else this.#open(now);
    return true;
  }

  /** Time went on. True when the fleet is to be told. */
  tick(now: number): boolean {
    if (this.#state === "open" && now - this.#openedAt >= this.settings.sleepMs) {
      this.#state = "half-open";
      this.#grant(now);
      return true;
    }
    if (this.#state === "half-open" && (this.#prober === "" || now >= this.#leaseEndsAt)) {
      const before = this.#prober;
      this.#grant(now);
      return before !== "" || this.#prober !== "";
    }
    return false;
  }

  word(process: string, now: number): FleetWord {
    return {
      state: this.#state,
      reopensInMs: this.#state === "open" ? Math.max(0, this.settings.sleepMs - (now - this.#openedAt)) : 0,
      probe: this.#state === "half-open" && this.#prober === process ? this.#lease : 0,
      term: this.#term,
      voters: this.#state === "closed" ? this.voters(now) : this.#openedBy,
    };
  }

  /** Processes with fresh evidence. */
  voters(now: number): number {
    for (const [process, { at }] of this.#evidence) {
      if (now - at <= this.settings.evidenceMs) break;
      this.#drop(process);
    }
    return this.#evidence.size;
  }

  #drop(process: string): void {
    if (this.#evidence.get(process)?.tripped === true) this.#failing--;
    this.#evidence.delete(process);
  }

  #forget(): void {
    this.#evidence.clear();
    this.#failing = 0;
  }

  #open(now: number): void {
    this.#state = "open";
    this.#openedAt = now;
    if (this.#evidence.size > 1) this.#openedBy = this.#evidence.size;
    for (const [process, { at }] of this.#evidence) {
      const heardAt = this.#candidates.get(process) ?? at;
      if (this.#candidates.size < MAX_PROCESSES) this.#candidates.set(process, Math.max(heardAt, at));
    }
    this.#forget();
  }

  /** In turn, so that a process without calls does not keep the others waiting for ever; nor do those that have gone. */
  #grant(now: number): void {
    this.#prober = "";
    for (const [process, heardAt] of this.#candidates) {
      this.#candidates.delete(process);
      if (now - heardAt > GONE_MS) continue;
      this.#candidates.set(process, heardAt);
      this.#prober = process;
      this.#lease++;
      this.#leaseEndsAt = now + Math.max(MIN_LEASE_MS, this.settings.sleepMs);
      return;
    }
  }
}

interface Evidence {
  tripped: boolean;
  at: number;
}

const MAX_PROCESSES = 10_000;
/** Of a process that was not heard of for so long. */
const GONE_MS = 30_000;
/** Processes report twice a second: the result of a probe needs time to arrive. */
const MIN_LEASE_MS = 5_000;
