import type { Endpoint, Health } from "../core/endpoint.ts";
import type { HealthSource } from "./registry.ts";

/**
 * Leases as a pure machine: registrations, renewals and the passing of time in; changes of endpoints out. It owns no timer, no disk and no
 * listener; drivers are its shells and call advance() every `tickMs` while it is not empty.
 *
 *     register ----> live --renew--> live
 *                     |  \--release--------------------> gone (released)
 *                     | ttl over
 *                     v
 *                   overdue --advance, allowance left--> gone (lease expired)
 *                     |  \--renew--> live
 *                     | allowance used up
 *                     v
 *                    held --renew--> live;  evicted later, when the window allows
 *
 * Invariants (lease-table.test.ts, by number):
 *  L1 an endpoint that is renewed within every ttl is never removed;
 *  L2 a lease ends at most one tick after its ttl when nothing protects it;
 *  L3 applying the changes in order to an empty set gives list();
 *  L4 the version grows by one with each change, and by nothing otherwise;
 *  L5 within any window no more than the allowance is evicted for expiry;
 *  L6 after restore() each lease has a full period; after a stall of the process nobody is evicted for as long as it stood still.
 *
 * Protection: when many leases run out together, the fault is more likely on this side (a cut network, a long pause) than with all of them.
 * So at most `max(protectionMinimum, protectionRatio x leases)` are evicted in `protectionWindowMs`; others are held, still in rotation, where
 * active checks and callers' own evidence deal with them. Source of the idea: Eureka's self-preservation and eviction limit.
 *
 * Renewal is one store: a lease waits in the bucket of the expiry that it had when it was filed, and moves only when that bucket is due.
 */
export class LeaseTable {
  readonly tickMs: number;
  readonly #ratio: number;
  readonly #minimum: number;
  readonly #windowMs: number;
  readonly #records = new Map<string, LeaseRecord>();
  readonly #services = new Map<string, Map<string, LeaseRecord>>();
  readonly #buckets = new Map<number, LeaseRecord[]>();
  #changes = new Map<string, PendingChange>();
  /** Evictions for expiry within the window, oldest first, and those that are due and held. */
  #evicted: { at: number; count: number }[] = [];
  #held: LeaseRecord[] = [];
  #leases = 0;
  #cursor = Number.NEGATIVE_INFINITY;
  #lastAdvance = Number.NEGATIVE_INFINITY;
  #graceUntil = Number.NEGATIVE_INFINITY;
  #version: number;
  #token = 0;

  constructor(options: LeaseTableOptions = {}) {
    this.tickMs = options.tickMs ?? 100;
    this.#ratio = options.protectionRatio ?? 0.5;
    this.#minimum = options.protectionMinimum ?? 10;
    this.#windowMs = options.protectionWindowMs ?? 60_000;
    this.#version = options.startVersion ?? 0;
  }

  /** Changes so far. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#records.size;
  }

  /** Whether advance() has to be called: some lease can end. */
  get ticking(): boolean {
    return this.#leases > 0;
  }

  /** Leases that ran out and are kept by the protection. */
  get held(): number {
    return this.#held.length;
  }

  /** Registers or replaces; answers the token that renew() and release() must show. `ttlMs` Infinity never ends. */
  register(endpoint: Endpoint, ttlMs: number, now: number, reason = "registered"): number {
    const token = ++this.#token;
    const old = this.#records.get(endpoint.id);
    if (old !== undefined && ttlMs === old.ttlMs && sameIdentity(old.endpoint, endpoint)) {
      // The same again (a reconnected process): its lease and health are new, nothing else.
      old.token = token;
      old.ownerHealth = endpoint.health;
      old.checkHealth = "healthy";
      this.#renew(old, now);
      this.#applyHealth(old, reason);
      return token;
    }
    if (old !== undefined) this.#drop(old);
    const record: LeaseRecord = {
      endpoint,
      ttlMs,
      expiresAt: now + ttlMs,
      ownerHealth: endpoint.health,
      checkHealth: "healthy",
      token,
      live: true,
      held: false,
    };
    this.#add(record, now);
    this.#changed(endpoint.id, old?.endpoint ?? null, reason);
    return token;
  }

  /** Takes back what was known before a restart: as registered now, with a full period, and with the health that was known. */
  restore(endpoint: Endpoint, ttlMs: number, ownerHealth: Health, checkHealth: Health, now: number): number {
    const token = this.register({ ...endpoint, health: ownerHealth }, ttlMs, now, "restored");
    this.setHealth(endpoint.id, checkHealth, "restored", "check");
    return token;
  }

  /** "expired" and "replaced" mean that the lease is not the caller's (any more). */
  renew(id: string, token: number, now: number): "renewed" | "expired" | "replaced" {
    const record = this.#records.get(id);
    if (record === undefined) return "expired";
    if (record.token !== token) return "replaced";
    this.#renew(record, now);
    return "renewed";
  }

  /** Removes the endpoint if `token` is its lease's; false when it was not there or is another's. */
  release(id: string, token: number, reason = "released"): boolean {
    const record = this.#records.get(id);
    if (record === undefined || record.token !== token) return false;
    this.#drop(record);
    this.#changed(id, record.endpoint, reason);
    return true;
  }

  /** False when the id is not known. */
  setHealth(id: string, health: Health, reason: string, by: HealthSource): boolean {
    const record = this.#records.get(id);
    if (record === undefined) return false;
    if (by === "owner") record.ownerHealth = health;
    else record.checkHealth = health;
    this.#applyHealth(record, reason);
    return true;
  }

  /** Evicts what ran out, as far as the protection allows. To be called every `tickMs`. */
  advance(now: number): void {
    const due = Math.floor(now / this.tickMs);
    const late = now - this.#lastAdvance - this.tickMs;
    this.#lastAdvance = now;
    // The process stood still: renewals of that time wait in its sockets, so nobody is evicted for as long again.
    if (late > STALL_MS && this.#leases > 0) this.#graceUntil = Math.max(this.#graceUntil, now + late);
    const overdue = this.#held.filter((record) => record.held);
    this.#held = [];
    if (due - this.#cursor > this.#buckets.size) {
      for (const bucket of [...this.#buckets.keys()].filter((key) => key <= due).sort((a, b) => a - b)) {
        this.#collect(bucket, now, overdue);
      }
    } else {
      for (let bucket = this.#cursor + 1; bucket <= due; bucket++) this.#collect(bucket, now, overdue);
    }
    this.#cursor = Math.max(this.#cursor, due);
    this.#evict(overdue, now);
  }

  get(id: string): Endpoint | undefined {
    return this.#records.get(id)?.endpoint;
  }

  ttlOf(id: string): number | undefined {
    return this.#records.get(id)?.ttlMs;
  }

  /** What drivers that keep state on disk write: owner's and check's health apart. */
  healthOf(id: string): { owner: Health; check: Health } | undefined {
    const record = this.#records.get(id);
    return record && { owner: record.ownerHealth, check: record.checkHealth };
  }

  /** Endpoints of the named services ("*": all), as of `version`. */
  list(services: readonly string[]): Endpoint[] {
    if (services.includes("*")) return Array.from(this.#records.values(), (record) => record.endpoint);
    const found: Endpoint[] = [];
    for (const service of new Set(services)) {
      for (const record of this.#services.get(service)?.values() ?? []) found.push(record.endpoint);
    }
    return found;
  }

  /** The net changes since last taken, in order of their first occurrence; null when there are none. */
  takeChanges(): EndpointChange[] | null {
    if (this.#changes.size === 0) return null;
    const changes: EndpointChange[] = [];
    for (const [id, { before, reason }] of this.#changes) {
      const after = this.#records.get(id)?.endpoint ?? null;
      if (before !== after) changes.push({ id, before, after, reason });
    }
    this.#changes = new Map();
    return changes.length === 0 ? null : changes;
  }

  #renew(record: LeaseRecord, now: number): void {
    record.expiresAt = now + record.ttlMs;
    if (!record.held) return;
    record.held = false;
    this.#file(record, now);
  }

  #add(record: LeaseRecord, now: number): void {
    const { id, service } = record.endpoint;
    this.#records.set(id, record);
    let ofService = this.#services.get(service);
    if (ofService === undefined) this.#services.set(service, (ofService = new Map()));
    ofService.set(id, record);
    if (record.ttlMs === Number.POSITIVE_INFINITY) return;
    if (this.#leases++ === 0) this.#lastAdvance = now; // ticks begin
    this.#file(record, now);
  }

  #drop(record: LeaseRecord): void {
    const { id, service } = record.endpoint;
    record.live = false;
    record.held = false;
    this.#records.delete(id);
    const ofService = this.#services.get(service);
    ofService?.delete(id);
    if (ofService?.size === 0) this.#services.delete(service);
    if (record.ttlMs !== Number.POSITIVE_INFINITY) this.#leases--;
  }

  /** Into the bucket of its expiry, always one that is still to come. */
  #file(record: LeaseRecord, now: number): void {
    const at = Math.max(Math.ceil(record.expiresAt / this.tickMs), Math.floor(now / this.tickMs) + 1, this.#cursor + 1);
    const bucket = this.#buckets.get(at);
    if (bucket === undefined) this.#buckets.set(at, [record]);
    else bucket.push(record);
  }

  #collect(at: number, now: number, overdue: LeaseRecord[]): void {
    const bucket = this.#buckets.get(at);
    if (bucket === undefined) return;
    this.#buckets.delete(at);
    for (const record of bucket) {
      if (!record.live) continue;
      if (record.expiresAt <= now) overdue.push(record);
      else this.#file(record, now);
    }
  }

  #evict(overdue: LeaseRecord[], now: number): void {
    while (this.#evicted.length > 0 && this.#evicted[0].at + this.#windowMs <= now) this.#evicted.shift();
    if (overdue.length === 0) return;
    let recent = 0;
    for (const { count } of this.#evicted) recent += count;
    const allowance = Math.max(this.#minimum, Math.floor(this.#ratio * (this.#leases + recent)));
    let evicted = 0;
    for (const record of overdue) {
      if (now < this.#graceUntil || recent + evicted >= allowance) {
        record.held = true;
        this.#held.push(record);
        continue;
      }
      this.#drop(record);
      this.#changed(record.endpoint.id, record.endpoint, "lease expired");
      evicted++;
    }
    if (evicted > 0) this.#evicted.push({ at: now, count: evicted });
  }

  #applyHealth(record: LeaseRecord, reason: string): void {
    const health = combine(record.ownerHealth, record.checkHealth);
    if (health === record.endpoint.health) return;
    const before = record.endpoint;
    record.endpoint = { ...before, health };
    this.#changed(before.id, before, reason);
  }

  #changed(id: string, before: Endpoint | null, reason: string): void {
    this.#version++;
    const pending = this.#changes.get(id);
    if (pending === undefined) this.#changes.set(id, { before, reason });
    else pending.reason = reason;
  }
}

export interface LeaseTableOptions {
  /** How often advance() is called, and how exact expiry is, ms. Default 100. */
  tickMs?: number;
  /** Part of all leases (0..1) that may expire within the window. 1 switches protection off. Default 0.5. */
  protectionRatio?: number;
  /** So many may always expire within the window, however few there are. Default 10. */
  protectionMinimum?: number;
  /** Default 60,000. */
  protectionWindowMs?: number;
  /** Version to begin from (drivers that outlive the process). Default 0. */
  startVersion?: number;
}

/** One endpoint's net change; `before` null: new, `after` null: gone. */
export interface EndpointChange {
  readonly id: string;
  readonly before: Endpoint | null;
  readonly after: Endpoint | null;
  readonly reason: string;
}

interface PendingChange {
  before: Endpoint | null;
  reason: string;
}

interface LeaseRecord {
  endpoint: Endpoint;
  ttlMs: number;
  expiresAt: number;
  ownerHealth: Health;
  checkHealth: Health;
  token: number;
  live: boolean;
  held: boolean;
}

/** A tick that comes later than this tells of a process that stood still. */
const STALL_MS = 1_000;

function combine(owner: Health, check: Health): Health {
  if (owner === "draining") return "draining";
  return owner === "unhealthy" || check === "unhealthy" ? "unhealthy" : "healthy";
}

/** Equal in everything but health. */
function sameIdentity(a: Endpoint, b: Endpoint): boolean {
  if (
    a.service !== b.service ||
    a.host !== b.host ||
    a.port !== b.port ||
    a.version !== b.version ||
    a.zone !== b.zone ||
    a.weight !== b.weight ||
    a.protocol !== b.protocol ||
    a.identity !== b.identity
  ) {
    return false;
  }
  const names = Object.keys(a.metadata);
  return (
    names.length === Object.keys(b.metadata).length && names.every((name) => a.metadata[name] === b.metadata[name])
  );
}
