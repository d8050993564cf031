import type { Clock } from "../core/clock.ts";
import type { Health } from "../core/endpoint.ts";
import type { WeftError } from "../core/errors.ts";
import type { BackendChange, BackendEvents, KeptEntry } from "./endpoint-backend.ts";
import type { EndpointEntry } from "./endpoint-value.ts";
import { type EndpointRecord, EndpointView } from "./endpoint-view.ts";
import type { EndpointDelta, Watch } from "./registry.ts";
import { WatchHub } from "./watch-hub.ts";

export interface BackedMirrorOptions {
  clock: Clock;
  /** What an entry that the backend tells of is to this process: one of its own; another's; not to be seen, for it is being removed; or one that cannot be what is there now. */
  look: (kept: KeptEntry) => "ours" | "others" | "unseen" | "doubtful";
  /** Whether it is of a lease that is in use here. */
  isOurs: (entry: EndpointEntry) => boolean;
  /** It was replaced by another registration, which is gone, too. */
  onReplaced: (entry: EndpointEntry) => void;
  /** The backend has lost its data: what is held now was lost, not removed. */
  onLost: () => void;
  /** Something is held that may be of leases here. Never from inside what the backend tells. */
  onHeld: () => void;
  /** Out of touch with the backend; null: in touch again. */
  onTouch: (away: WeftError | null) => void;
  onError: (error: WeftError) => void;
}

/**
 * What a backend keeps, in this process's memory and for its watchers. Out of touch it stays as it is.
 *
 *     removed on purpose                                                     -> gone at once
 *     its plane's sign of life ended, or missing after a gap                 -> held, for its process or its plane to put it there again; then gone
 *     removed, or missing, though its lease is in use here                   -> held, and put there again at once
 */
export class BackedMirror implements BackendEvents {
  readonly view = new EndpointView<EndpointEntry>();
  readonly #options: BackedMirrorOptions;
  readonly #hub: WatchHub;
  /** What was found here of endpoints that others than weft put there: nobody writes that to them. */
  readonly #checks = new Map<string, Health>();
  /** Ids of which something is asked; true: what is answered may be older than what was told meanwhile. */
  readonly #asked = new Map<string, boolean>();
  #away: WeftError | null = null;
  #touchedAt: number;
  /** Since when it is in touch without a gap. */
  #touchedSince: number;
  #revision = 0;
  #publishing = false;

  constructor(options: BackedMirrorOptions) {
    this.#options = options;
    this.#hub = new WatchHub(this.view, () => this.publish());
    this.#touchedAt = options.clock.now();
    this.#touchedSince = this.#touchedAt;
  }

  /** What was wrong when touch was lost; null while in touch. */
  get away(): WeftError | null {
    return this.#away;
  }

  /** How long ago what is known here was all there is. */
  get staleMs(): number {
    const silent = this.#options.clock.now() - this.#touchedAt;
    return this.#away !== null || silent > SILENT_MS ? silent : 0;
  }

  get holds(): boolean {
    return this.view.held > 0;
  }

  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch {
    return this.#hub.watch(services, listener);
  }

  /** What the backend has of an id, as far as it is known. */
  known(id: string): KeptEntry | null {
    const record = this.view.get(id);
    return record === undefined || record.heldUntil !== null ? null : { entry: record.value, version: record.revision };
  }

  /** Held, for its owner to put it there again. */
  missing(): EndpointRecord<EndpointEntry>[] {
    return this.#away === null ? this.view.heldBefore(Number.POSITIVE_INFINITY) : [];
  }

  /** Held, though its owner had the time to put it there again: and if it had been, that would have been told by now, however long this process stood still. */
  overdue(): EndpointRecord<EndpointEntry>[] {
    if (this.#away !== null || this.#touchedAt < this.#touchedSince + this.#holdMs(0)) return [];
    return this.view.heldBefore(this.#touchedAt);
  }

  /** Lets `work` ask the backend of an endpoint, or change it there: one at a time. */
  async asking<T>(id: string, work: () => Promise<T>): Promise<T> {
    this.#asked.set(id, false);
    try {
      return await work();
    } finally {
      this.#asked.delete(id);
    }
  }

  /** Whether it was told since asking() began, or since this was asked last, that an endpoint is not there, or another's: before what is answered came about, or after. */
  isDoubtful(id: string): boolean {
    const doubtful = this.#asked.get(id) === true;
    if (doubtful) this.#asked.set(id, false);
    return doubtful;
  }

  /** What is there, as somebody was answered. */
  take(kept: KeptEntry, reason?: string): void {
    this.#put(kept, reason);
    this.#publishSoon();
  }

  /** As take(), of what cannot be another registration by now: one that is known with a newer version is of data that were lost. */
  takeAnyway(kept: KeptEntry): void {
    const { endpoint, owner } = kept.entry;
    const record = this.view.get(endpoint.id);
    if (record !== undefined && record.value.owner !== owner)
      record.revision = Math.min(record.revision, kept.version - 1);
    this.take(kept);
  }

  /** It changes, but not in the backend. */
  amend(entry: EndpointEntry, reason: string): void {
    if (entry.owner === "") this.#checks.set(entry.endpoint.id, entry.check);
    this.view.amend(entry.endpoint.id, entry, reason);
    this.#publishSoon();
  }

  /** It is being removed. */
  gone(id: string, owner: string, reason: string): void {
    const record = this.view.get(id);
    if (record?.value.owner !== owner) return;
    if (record.heldUntil !== null) this.view.givenUp(id, reason);
    else this.view.removed(id, reason, null);
    this.#publishSoon();
  }

  whole(entries: readonly KeptEntry[], lost = false): void {
    const { clock, look, onLost } = this.#options;
    const now = clock.now();
    this.publish();
    for (const id of this.#asked.keys()) this.#asked.set(id, true);
    const found = new Map<string, { value: EndpointEntry; revision: number }>();
    const orphans: { id: string; until: number }[] = [];
    for (const kept of entries) {
      const { version } = kept;
      const entry = this.asFound(kept.entry);
      const { id } = entry.endpoint;
      const whose = look(kept);
      if (whose === "unseen" || whose === "doubtful") continue;
      found.set(id, { value: entry, revision: version });
      this.#revision = Math.max(this.#revision, version);
      if (isOrphan(kept) && whose === "others") orphans.push({ id, until: this.#orphanUntil(entry, now) });
    }
    this.view.listed(found, now + this.#holdMs(0));
    for (const { id, until } of orphans) this.view.orphaned(id, until);
    this.view.advance(this.#revision);
    if (lost) onLost();
    this.#touch(now);
    this.#hub.tellAll();
    this.#heldSoon();
  }

  changed(changes: readonly BackendChange[]): void {
    for (const change of changes) {
      if (change.kind === "put") this.#put(change);
      else this.#removed(change);
    }
    this.#publishSoon();
    this.#heldSoon();
  }

  confirmed(): void {
    this.#touch(this.#options.clock.now());
  }

  lost(error: WeftError): void {
    if (this.#away !== null) return;
    this.#away = error;
    this.#options.onTouch(error);
  }

  unusable(error: WeftError): void {
    this.#options.onError(error);
  }

  /** With what was found here. */
  asFound(entry: EndpointEntry): EndpointEntry {
    if (entry.owner !== "" || this.#checks.get(entry.endpoint.id) !== "unhealthy") return entry;
    return { ...entry, check: "unhealthy" };
  }

  publish(): void {
    const changes = this.view.takeChanges(this.#revision);
    if (changes !== null) this.#hub.publish(changes, this.view.version);
  }

  close(): void {
    this.#hub.close();
  }

  #put(kept: KeptEntry, reason?: string): void {
    const { version } = kept;
    const entry = this.asFound(kept.entry);
    const whose = this.#options.look(kept);
    const { id } = entry.endpoint;
    if (whose !== "ours" && this.#asked.has(id)) this.#asked.set(id, true);
    if (whose === "unseen" || whose === "doubtful") return;
    this.#revision = Math.max(this.#revision, version);
    const held = isOrphan(kept) && whose === "others" ? this.#orphanUntil(entry, this.#options.clock.now()) : null;
    this.view.put(entry, version, reason);
    if (held !== null && this.view.get(id)?.value.owner === entry.owner) this.view.orphaned(id, held);
  }

  #removed({ id, orphaned, version, owner }: Extract<BackendChange, { kind: "removed" }>): void {
    const { clock, isOurs, onReplaced } = this.#options;
    const record = this.view.get(id);
    this.#checks.delete(id);
    if (this.#asked.has(id)) this.#asked.set(id, true);
    if (record === undefined || (version !== undefined && version < record.revision)) return;
    const now = clock.now();
    if (owner !== undefined && owner !== record.value.owner) onReplaced(record.value);
    if (isOurs(record.value)) this.view.removed(id, "", now + this.#holdMs(0));
    else if (orphaned) this.view.removed(id, "", this.#orphanUntil(record.value, now));
    else if (record.heldUntil !== null) this.view.givenUp(id, "lease expired");
    else this.view.removed(id, "released", null);
  }

  #touch(now: number): void {
    this.#touchedAt = now;
    if (this.#away === null) return;
    this.#away = null;
    this.#touchedSince = now;
    this.#options.onTouch(null);
    this.#heldSoon();
  }

  /** Until when the process of a plane that is away may register elsewhere. */
  #orphanUntil({ endpoint, owner, ttlMs }: EndpointEntry, now: number): number {
    const record = this.view.get(endpoint.id);
    if (record !== undefined && record.heldUntil !== null && record.value.owner === owner) return record.heldUntil;
    return now + this.#holdMs(Math.min(ttlMs, MAX_ORPHAN_MS));
  }

  #holdMs(wantedMs: number): number {
    return Math.max(HOLD_MS, wantedMs) + HOLD_EACH_MS * this.view.size;
  }

  #heldSoon(): void {
    if (this.view.held > 0) queueMicrotask(this.#options.onHeld);
  }

  /** Changes of one turn are told as one. */
  #publishSoon(): void {
    if (this.#publishing) return;
    this.#publishing = true;
    queueMicrotask(() => {
      this.#publishing = false;
      this.publish();
    });
  }
}

/** Its plane is away, and what is registered for good needs none. */
function isOrphan({ entry, orphaned = false }: KeptEntry): boolean {
  return orphaned && entry.ttlMs !== Number.POSITIVE_INFINITY;
}

/** How long owners have, when the backend is back, to put there again what it lost: more than the longest pause between attempts, and what writing takes. */
const HOLD_MS = 3_000;
const HOLD_EACH_MS = 1;
/** By then a process whose control plane died has found another one. */
const MAX_ORPHAN_MS = 15_000;
/** Backends say once a second that they are in touch. */
const SILENT_MS = 2_500;
