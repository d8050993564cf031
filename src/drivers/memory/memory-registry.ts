import { type Cancel, type Clock, systemClock } from "../../core/clock.ts";
import type { Endpoint, Health } from "../../core/endpoint.ts";
import { type EndpointChange, LeaseTable, type LeaseTableOptions } from "../../registry/lease-table.ts";
import type {
  ConsistencyMode,
  EndpointDelta,
  EndpointList,
  HealthSource,
  Lease,
  Registry,
  Watch,
} from "../../registry/registry.ts";
import { leaseOver, registryClosed, unknownEndpoint } from "../../registry/registry-errors.ts";
import { assertEndpoint, assertHealth, assertTtl } from "../../registry/validate.ts";
import { WatchHub } from "../../registry/watch-hub.ts";

/**
 * The registry in this process's memory: a lease table with a clock, and the core of the drivers that add a disk to it. Changes made in one
 * turn of the event loop become one delta.
 */
export class MemoryRegistry implements Registry {
  readonly mode: ConsistencyMode;
  readonly table: LeaseTable;
  readonly #clock: Clock;
  readonly #journal: RegistryJournal | null;
  readonly #hub: WatchHub;
  #flushing: Promise<void> | null = null;
  #written: Promise<void> = Promise.resolve();
  #stopTicking: Cancel | null = null;
  #closed = false;

  constructor(options: MemoryRegistryOptions = {}) {
    this.mode = options.mode ?? "available";
    this.#clock = options.clock ?? systemClock;
    this.#journal = options.journal ?? null;
    this.table = new LeaseTable(options.leases);
    this.#hub = new WatchHub(this.table, () => this.#publish());
  }

  async register(endpoint: Endpoint, ttlMs: number): Promise<Lease> {
    this.#assertOpen();
    assertEndpoint(endpoint);
    assertTtl(ttlMs);
    const copy = Object.freeze({ ...endpoint, metadata: Object.freeze({ ...endpoint.metadata }) });
    const token = this.table.register(copy, ttlMs, this.#clock.now());
    this.#tick();
    await this.#flushSoon();
    return new TableLease(this, endpoint.id, ttlMs, token);
  }

  async query(services: readonly string[]): Promise<EndpointList> {
    this.#assertOpen();
    const list = { endpointVersion: this.table.version, staleMs: 0, endpoints: this.table.list(services) };
    // What a crash could take back was not there.
    if (this.mode === "consistent" && services.length > 0 && this.#journal !== null)
      await (this.#flushing ?? this.#written);
    return list;
  }

  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch {
    this.#assertOpen();
    return this.#hub.watch(services, listener);
  }

  async setHealth(id: string, health: Health, reason: string, by: HealthSource = "owner"): Promise<void> {
    this.#assertOpen();
    assertHealth(health);
    if (!this.table.setHealth(id, health, reason, by)) throw unknownEndpoint(id);
    await this.#flushSoon();
  }

  async renew(id: string, token: number): Promise<void> {
    this.#assertOpen();
    const outcome = this.table.renew(id, token, this.#clock.now());
    if (outcome === "renewed") return;
    throw leaseOver(id, outcome);
  }

  async release(id: string, token: number): Promise<void> {
    this.#assertOpen();
    if (this.table.release(id, token)) await this.#flushSoon();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopTicking?.();
    this.#hub.close();
    this.#publish();
    await this.#flushing;
    await this.#journal?.close();
  }

  /** Tells watchers and the journal of the table's changes, for drivers that change `table` themselves. Resolves when they are durable. */
  async flush(): Promise<void> {
    this.#tick();
    await this.#flushSoon();
  }

  #tick(): void {
    if (this.#stopTicking !== null || this.#closed || !this.table.ticking) return;
    this.#stopTicking = this.#clock.after(this.table.tickMs, () => {
      this.#stopTicking = null;
      this.table.advance(this.#clock.now());
      this.#publish();
      this.#tick();
    });
  }

  #flushSoon(): Promise<void> {
    this.#flushing ??= Promise.resolve().then(() => {
      this.#flushing = null;
      this.#publish();
      return this.#written;
    });
    return this.#flushing;
  }

  #publish(): void {
    const changes = this.table.takeChanges();
    if (changes === null) return;
    this.#hub.publish(changes, this.table.version);
    if (this.#journal === null) return;
    this.#written = this.#journal.write(changes, this.table);
    this.#written.catch(ignore); // who waits for it hears of it; otherwise the journal reports its failures itself
  }

  #assertOpen(): void {
    if (this.#closed) throw registryClosed();
  }
}

export interface MemoryRegistryOptions {
  /** Default "available". It is linearizable in both: everybody asks this process. */
  mode?: ConsistencyMode;
  clock?: Clock;
  leases?: LeaseTableOptions;
  /** Where changes are kept, if anywhere. Default: nowhere. */
  journal?: RegistryJournal;
}

/** Durable memory of endpoints, never of heartbeats. */
export interface RegistryJournal {
  /** Resolves when the changes are durable; `table` tells what it needs of the endpoints' state now. */
  write(changes: readonly EndpointChange[], table: LeaseTable): Promise<void>;
  close(): Promise<void>;
}

export function createMemoryRegistry(options: MemoryRegistryOptions = {}): Registry {
  return new MemoryRegistry(options);
}

class TableLease implements Lease {
  readonly id: string;
  readonly ttlMs: number;
  readonly #registry: MemoryRegistry;
  readonly #token: number;

  constructor(registry: MemoryRegistry, id: string, ttlMs: number, token: number) {
    this.id = id;
    this.ttlMs = ttlMs;
    this.#registry = registry;
    this.#token = token;
  }

  renew(): Promise<void> {
    return this.#registry.renew(this.id, this.#token);
  }

  release(): Promise<void> {
    return this.#registry.release(this.id, this.#token);
  }
}

function ignore(): void {}
