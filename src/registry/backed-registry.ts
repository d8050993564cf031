import { randomBytes } from "node:crypto";
import { type Cancel, type Clock, systemClock } from "../core/clock.ts";
import type { Endpoint, Health } from "../core/endpoint.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import { InTurn } from "../core/in-turn.ts";
import { openOrClose } from "../core/open-or-close.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { isAway } from "./ask-again.ts";
import { BackedLease, type LeaseKeeper } from "./backed-lease.ts";
import { BackedMirror } from "./backed-mirror.ts";
import { away, BackendLine, notThere } from "./backend-line.ts";
import type { EndpointBackend, KeptEntry } from "./endpoint-backend.ts";
import { type EndpointEntry, visibleOf } from "./endpoint-value.ts";
import { LeaseTable, type LeaseTableOptions } from "./lease-table.ts";
import { outcomeUnknown } from "./outcome-unknown.ts";
import type { ConsistencyMode, EndpointDelta, EndpointList, HealthSource, Lease, Registry, Watch } from "./registry.ts";
import { leaseOver, registryClosed, unknownEndpoint } from "./registry-errors.ts";
import { assertEndpoint, assertHealth, assertTtl } from "./validate.ts";

export interface BackedRegistryOptions {
  backend: EndpointBackend;
  /** Default "available". */
  mode?: ConsistencyMode;
  clock?: Clock;
  random?: Random;
  /** How long opening waits for the backend, ms. Default 10,000. */
  openTimeoutMs?: number;
  /** Of the leases that this process holds, with their protection. */
  leases?: Omit<LeaseTableOptions, "startVersion">;
  /** Told that the backend is not reached (what is known stays in use), and what in it cannot be used. Default: nobody is told. */
  onError?: (error: WeftError) => void;
  /** Told that it is reached again. */
  onRecovered?: () => void;
}

/**
 * A registry over a place that several control planes share: what one registers all see. Leases are held here; without the backend what is known stays in use and leases
 * are renewed, and nothing can be registered. When it is back, whatever it lost of what is in use here is put there again.
 *
 * Rejects `unavailable` when the backend does not answer in time, and what it refuses (`unauthenticated`, `invalid_argument`).
 */
export async function openBackedRegistry(options: BackedRegistryOptions): Promise<Registry> {
  return openOrClose(new BackedRegistry(options), (registry) => registry.opened(options.openTimeoutMs ?? 10_000));
}

class BackedRegistry implements Registry, LeaseKeeper {
  readonly mode: ConsistencyMode;
  readonly #backend: EndpointBackend;
  readonly #clock: Clock;
  readonly #line: BackendLine;
  readonly #onError: (error: WeftError) => void;
  /** Names this run. */
  readonly #plane = randomBytes(8).toString("hex");
  readonly #table: LeaseTable;
  /** The newest registration of each id here. */
  readonly #leases = new Map<string, BackedLease>();
  readonly #mirror: BackedMirror;
  /** What changes one endpoint is done one after the other. */
  readonly #turns = new InTurn();
  /** Owners whose registration is under way. */
  readonly #registering = new Set<string>();
  /** Owner to id: what is to be removed from the backend, and is gone here. */
  readonly #leaving = new Map<string, string>();
  /** Owners whose entry is being removed, or put back. */
  readonly #busy = new Set<string>();
  /** Owners whose entry the backend has lost with its data. */
  readonly #lost = new Set<string>();
  /** Owners of registrations that were here, and since when they are over: the backend may still tell of them. */
  readonly #past = new Map<string, number>();
  #stopTicking: Cancel | null = null;
  #nextLook = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: BackedRegistryOptions) {
    const { backend, mode = "available", clock = systemClock, random = systemRandom, onError = ignore } = options;
    this.mode = mode;
    this.#backend = backend;
    this.#clock = clock;
    this.#line = new BackendLine({ backend, mode, clock, random });
    this.#onError = onError;
    this.#table = new LeaseTable(options.leases);
    this.#mirror = new BackedMirror({
      clock,
      look: (kept) => this.#look(kept),
      isOurs: ({ endpoint, owner }) => this.#leases.get(endpoint.id)?.owner === owner,
      onReplaced: ({ endpoint, owner }) => {
        const lease = this.#leases.get(endpoint.id);
        if (lease?.owner === owner) this.#end(lease, "replaced");
      },
      onLost: () => {
        for (const { owner, id } of this.#leases.values())
          if (this.#mirror.known(id)?.entry.owner !== owner) this.#lost.add(owner);
      },
      onHeld: () => this.#restoreHeld(),
      onTouch: (lost) => {
        if (this.#closed) return;
        if (lost !== null) onError(away(backend, lost));
        else options.onRecovered?.();
        this.#nextLook = clock.now();
        this.#tick();
      },
      onError,
    });
  }

  /** Resolves when everything in the backend is known here. */
  async opened(timeoutMs: number): Promise<void> {
    let cancel: Cancel = ignore;
    const late = new Promise<never>((_, reject) => {
      cancel = this.#clock.after(timeoutMs, () => reject(notThere(this.#backend, this.#mirror.away)));
    });
    await Promise.race([this.#backend.follow(this.#plane, this.#mirror), late]).finally(() => cancel());
  }

  async register(endpoint: Endpoint, ttlMs: number): Promise<Lease> {
    this.#assertOpen();
    assertEndpoint(endpoint);
    assertTtl(ttlMs);
    const copy = Object.freeze({ ...endpoint, metadata: Object.freeze({ ...endpoint.metadata }) });
    const owner = randomBytes(8).toString("hex");
    const entry: EndpointEntry = { endpoint: copy, check: "healthy", owner, plane: this.#plane, ttlMs };
    return this.#turn(endpoint.id, async () => {
      this.#registering.add(owner);
      try {
        for (let tries = 1; ; tries++) {
          const put = await this.#line.put(entry, this.#mirror.known(endpoint.id)?.version ?? 0);
          const { version } = put;
          const known = this.#mirror.known(endpoint.id);
          // Replaced since; or what is known is of data that were lost, whose versions say nothing of those that are there now.
          const doubtful = known !== null && known.version > version && known.entry.owner !== owner;
          const there = await this.#asItIs(endpoint.id, doubtful ? await this.#line.get(endpoint.id) : put);
          if (there !== null) return this.#hold({ entry, version }, there);
          // Removed since, or lost with all data.
          if (this.mode === "consistent" || tries === MAX_TRIES) throw outcomeUnknown(endpoint.id);
        }
      } catch (thrown) {
        this.#registering.delete(owner);
        const there = this.#mirror.view.get(endpoint.id);
        if (there?.value.owner === owner) this.#adopt({ entry: there.value, version: there.revision });
        throw thrown;
      } finally {
        this.#registering.delete(owner);
      }
    });
  }

  async query(services: readonly string[]): Promise<EndpointList> {
    this.#assertOpen();
    const { view } = this.#mirror;
    if (this.mode === "available" || services.length === 0) {
      this.#mirror.publish();
      return { endpointVersion: view.version, staleMs: this.#mirror.staleMs, endpoints: view.list(services) };
    }
    const kept = await this.#line.read();
    const all = services.includes("*");
    const wanted = new Set(services);
    const endpoints: Endpoint[] = [];
    for (const { entry } of kept)
      if (all || wanted.has(entry.endpoint.service)) endpoints.push(visibleOf(this.#mirror.asFound(entry)));
    this.#mirror.publish();
    return { endpointVersion: view.version, staleMs: 0, endpoints };
  }

  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch {
    this.#assertOpen();
    return this.#mirror.watch(services, listener);
  }

  async setHealth(id: string, health: Health, reason: string, by: HealthSource = "owner"): Promise<void> {
    this.#assertOpen();
    assertHealth(health);
    const changed = (entry: EndpointEntry): EndpointEntry | null => {
      if (by === "check") return entry.check === health ? null : { ...entry, check: health };
      return entry.endpoint.health === health ? null : { ...entry, endpoint: { ...entry.endpoint, health } };
    };
    await this.#turn(id, async () => {
      const known = this.#mirror.known(id);
      let at = this.mode === "available" ? known : null;
      at ??= await this.#line.get(id);
      for (let tries = 0, seen = known?.version; tries < MAX_TRIES; tries++) {
        if (at === null || at.entry.owner === "") {
          const now = this.#mirror.known(id)?.version;
          if (now === seen) break;
          // Told of since it was asked for.
          seen = now;
        } else {
          const entry = changed(at.entry);
          const version = entry === null ? at.version : await this.#line.replace(entry, at.version);
          if (version !== null) {
            const there = await this.#asItIs(id, { ...at, entry: entry ?? at.entry, version });
            if (there !== null) this.#mirror.take(there, entry === null ? undefined : reason);
            return;
          }
        }
        at = await this.#line.get(id);
      }
      if (at !== null && at.entry.owner !== "") {
        throw this.#line.said(new WeftError("unavailable", `"${id}" changes all the time`, { retryable: true }));
      }
      // Others' endpoints are only read, and what the backend has lost is put there again as it is known here.
      const record = this.#mirror.view.get(id);
      if (record === undefined) throw unknownEndpoint(id);
      const entry = changed(record.value);
      if (entry !== null) this.#mirror.amend(entry, reason);
    });
  }

  async renew(lease: BackedLease): Promise<void> {
    this.#assertOpen();
    if (lease.over === null) {
      const outcome = this.#table.renew(lease.id, lease.token, this.#clock.now());
      if (outcome === "renewed") return;
      lease.over = outcome;
    }
    throw leaseOver(lease.id, lease.over === "replaced" ? "replaced" : "expired");
  }

  async release(lease: BackedLease): Promise<void> {
    if (lease.over !== null) return;
    this.#assertOpen();
    const { id, owner } = lease;
    this.#end(lease, "released");
    this.#mirror.gone(id, owner, "released");
    this.#leaving.set(owner, id);
    // Remembered here until it is told; and if this process ends before, nobody renews it.
    if (this.mode === "available" && this.#mirror.away !== null) return;
    try {
      await this.#remove(id, owner);
    } catch (thrown) {
      if (this.mode === "consistent" || !isAway(toWeftError(thrown))) throw thrown;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopTicking?.();
    this.#mirror.close();
    await this.#line.close();
  }

  /** The registration is in the backend, or was until now (`there`: what has its id): from now on its lease is held here. */
  #hold({ entry, version }: KeptEntry, there: KeptEntry): BackedLease {
    const { id } = entry.endpoint;
    const token = this.#table.register(entry.endpoint, entry.ttlMs, this.#clock.now());
    this.#table.takeChanges();
    const lease = new BackedLease(this, entry, version, token);
    const old = this.#leases.get(id);
    this.#leases.set(id, lease);
    if (old !== undefined) {
      old.over ??= "replaced";
      this.#past.set(old.owner, this.#clock.now());
    }
    this.#registering.delete(entry.owner);
    if (there.entry.owner === entry.owner) this.#mirror.takeAnyway(there);
    else this.#end(lease, "replaced");
    this.#tick();
    return lease;
  }

  /** A registration whose caller was told that it failed, and that was carried out: nobody renews it. False: there is a newer one, as far as versions tell. */
  #adopt({ entry, version }: KeptEntry): boolean {
    const { id } = entry.endpoint;
    const old = this.#leases.get(id);
    if (old !== undefined && old.version > version) return false;
    if (old !== undefined) this.#end(old, "replaced");
    const token = this.#table.register(entry.endpoint, entry.ttlMs, this.#clock.now());
    this.#table.takeChanges();
    this.#leases.set(id, new BackedLease(this, entry, version, token));
    this.#tick();
    return true;
  }

  #end(lease: BackedLease, why: "released" | "expired" | "replaced"): void {
    lease.over ??= why;
    this.#past.set(lease.owner, this.#clock.now());
    this.#lost.delete(lease.owner);
    if (this.#leases.get(lease.id) !== lease) return;
    this.#leases.delete(lease.id);
    this.#table.release(lease.id, lease.token);
    this.#table.takeChanges();
  }

  /** What an entry that the backend tells of is to this process. */
  #look({ entry, version }: KeptEntry): "ours" | "others" | "unseen" | "doubtful" {
    const { id } = entry.endpoint;
    if (this.#leaving.has(entry.owner)) return "unseen";
    const lease = this.#leases.get(id);
    if (lease?.owner === entry.owner) {
      lease.version = Math.max(lease.version, version);
      return "ours";
    }
    if (entry.plane === this.#plane) {
      if (this.#past.has(entry.owner)) return "unseen";
      return this.#registering.has(entry.owner) || this.#adopt({ entry, version }) ? "ours" : "doubtful";
    }
    if (lease === undefined) return "others";
    // Older than what is known to be there: it was told late, or the backend's data are other ones.
    if (version <= lease.version) return "doubtful";
    this.#end(lease, "replaced");
    return "others";
  }

  /** Puts back what is in use here and not in the backend. */
  #restoreHeld(): void {
    if (this.#closed) return;
    for (const { value } of this.#mirror.missing()) {
      const lease = this.#leases.get(value.endpoint.id);
      const { owner } = value;
      if (lease === undefined || lease.owner !== owner || this.#busy.has(owner)) continue;
      this.#busy.add(owner);
      const done = (): void => void this.#busy.delete(owner);
      this.#restore(lease).then(done, done); // what is not mended is looked at again
    }
    this.#tick();
  }

  #restore(lease: BackedLease): Promise<void> {
    const { id, owner } = lease;
    return this.#turn(id, async () => {
      if (lease.over !== null || this.#mirror.known(id)?.entry.owner === owner) return;
      const record = this.#mirror.view.get(id);
      const entry = record?.value.owner === owner ? record.value : lease.entry;
      // In the mode "consistent" what was removed stays so until its owner says otherwise.
      const mayRestore = this.mode === "available" || this.#lost.has(owner);
      const version = mayRestore ? await this.#line.replace(entry, 0) : null;
      if (version !== null) {
        this.#lost.delete(owner);
        // Its data are new, and count anew.
        lease.version = version;
      }
      const there = await this.#asItIs(id, version === null ? await this.#line.get(id) : { entry, version });
      if (lease.over !== null) return;
      if (there === null) {
        if (!mayRestore) this.#end(lease, "expired");
        return; // what was put back was removed again: it is looked at once more
      }
      if (there.entry.owner === owner) lease.version = there.version;
      else this.#end(lease, "replaced");
      this.#mirror.takeAnyway(there);
    });
  }

  /** What changes one endpoint, after what did before. */
  #turn<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.#turns.take(id, () => this.#mirror.asking(id, work));
  }

  /** What was answered; or, if it was told meanwhile that it is not there, or another's, what is there now. So nothing comes back that was removed or replaced after it was put. */
  async #asItIs(id: string, answered: KeptEntry | null): Promise<KeptEntry | null> {
    let there = answered;
    while (this.#mirror.isDoubtful(id)) there = await this.#line.get(id);
    return there;
  }

  async #remove(id: string, owner: string): Promise<void> {
    this.#tick();
    this.#busy.add(owner);
    try {
      await this.#turns.take(id, () => this.#line.remove(id, owner));
      this.#leaving.delete(owner);
    } finally {
      this.#busy.delete(owner);
    }
  }

  #tick(): void {
    if (this.#stopTicking !== null || this.#closed) return;
    const waiting = this.#leaving.size > 0 || this.#past.size > 0 || this.#mirror.holds;
    if (!waiting && !this.#table.ticking) return;
    this.#stopTicking = this.#clock.after(this.#table.tickMs, () => {
      this.#stopTicking = null;
      const now = this.#clock.now();
      this.#table.advance(now);
      for (const { id, after } of this.#table.takeChanges() ?? []) {
        const lease = this.#leases.get(id);
        if (after !== null || lease === undefined) continue;
        this.#end(lease, "expired");
        this.#mirror.gone(id, lease.owner, "lease expired");
        this.#leaving.set(lease.owner, id);
      }
      if (now >= this.#nextLook && this.#mirror.away === null) {
        this.#nextLook = now + LOOK_MS;
        this.#lookAfter(now);
      }
      this.#tick();
    });
  }

  /** What is to be done once the backend is there. */
  #lookAfter(now: number): void {
    for (const [owner, at] of this.#past) if (at + PAST_MS <= now) this.#past.delete(owner);
    for (const [owner, id] of this.#leaving) {
      if (this.#busy.has(owner)) continue;
      this.#remove(id, owner).catch((thrown) => {
        const error = toWeftError(thrown);
        if (!this.#closed && !isAway(error)) this.#onError(error);
      });
    }
    for (const { value, there } of this.#mirror.overdue()) {
      const { id } = value.endpoint;
      if (this.#leases.get(id)?.owner === value.owner) continue;
      this.#mirror.gone(id, value.owner, "lease expired");
      // What is not there is not removed: its owner may put it there again at this moment.
      if (there && value.owner !== "") this.#leaving.set(value.owner, id);
    }
    this.#restoreHeld();
  }

  #assertOpen(): void {
    if (this.#closed) throw registryClosed();
  }
}

function ignore(): void {}

const MAX_TRIES = 100;
const LOOK_MS = 250;
/** Longer than it takes a backend that is in touch to tell what happened. */
const PAST_MS = 60_000;
