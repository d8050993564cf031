import { makeRoom } from "../../core/kept.ts";
import type { CallState } from "../machine/call-state.ts";
import type { StoredResponse } from "./stored-response.ts";
import { variantValue } from "./variant-value.ts";

/**
 * Responses of one cache policy, bounded in bytes. Eviction by SIEVE (Zhang et al., NSDI 2024): a queue in order of arrival, a mark that a hit sets, and a
 * hand that goes from the oldest towards the newest, takes marks away and evicts what has none. Hits move nothing.
 *
 *     newest <-> ... <-> oldest           hand ->  visited: cleared, spared   not visited: evicted
 *
 *     S1  `bytes` never exceeds `maxBytes`, bodies that are on their way in included.
 *     S2  `bytes` is the sum of what is held and reserved.
 *     S3  Of several bodies on their way none takes more room than half of `maxBytes` has for all of them: callers that read slowly cannot empty the store.
 */
export class CacheStore {
  maxBytes: number;
  /** Held and reserved. */
  bytes = 0;
  /** Of them: reserved for bodies that are on their way. */
  arriving = 0;
  entries = 0;
  readonly counts = new CacheCounts();
  /** Fetches under way, that others may wait for. */
  readonly fetches = new Map<string, Fetch>();
  /** Keys whose last response could not be shared, and until when nobody waits for such a one (Varnish calls it hit-for-miss). */
  readonly #unshared = new Map<string, number>();
  readonly #byUri = new Map<string, StoredResponse[]>();
  #newest: StoredResponse | null = null;
  #oldest: StoredResponse | null = null;
  #hand: StoredResponse | null = null;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** The variant for this request; of several the newest. Null when there is none. */
  find(uri: string, scope: string, call: CallState): StoredResponse | null {
    const variants = this.#byUri.get(uri);
    if (variants === undefined) return null;
    let best: StoredResponse | null = null;
    for (const stored of variants) {
      if (stored.scope !== scope || !matches(stored, call)) continue;
      if (best === null || stored.freshness.dateMs >= best.freshness.dateMs) best = stored;
    }
    if (best !== null) best.visited = true;
    return best;
  }

  hasUri(uri: string): boolean {
    return this.#byUri.has(uri);
  }

  /** Takes a response in whose bytes were reserved, in place of the variant that it replaces. */
  add(stored: StoredResponse): void {
    const variants = this.#byUri.get(stored.uri);
    if (variants === undefined) this.#byUri.set(stored.uri, [stored]);
    else {
      for (const other of [...variants]) if (sameVariant(other, stored)) this.remove(other);
      if (variants.length >= MAX_VARIANTS) this.remove(variants[0]);
      // Removing the last variant takes the list out of the map.
      const now = this.#byUri.get(stored.uri);
      if (now === undefined) this.#byUri.set(stored.uri, [stored]);
      else now.push(stored);
    }
    stored.held = true;
    this.arriving -= stored.bytes;
    stored.older = this.#newest;
    if (this.#newest !== null) this.#newest.newer = stored;
    this.#newest = stored;
    this.#oldest ??= stored;
    this.entries++;
  }

  remove(stored: StoredResponse): void {
    if (!stored.held) return;
    stored.held = false;
    if (this.#hand === stored) this.#hand = stored.newer;
    if (stored.newer === null) this.#newest = stored.older;
    else stored.newer.older = stored.older;
    if (stored.older === null) this.#oldest = stored.newer;
    else stored.older.newer = stored.newer;
    stored.newer = stored.older = null;
    this.entries--;
    this.bytes -= stored.bytes;
    const variants = this.#byUri.get(stored.uri);
    if (variants === undefined) return;
    const at = variants.indexOf(stored);
    if (at >= 0) variants.splice(at, 1);
    if (variants.length === 0) this.#byUri.delete(stored.uri);
  }

  /** All variants of a URI (RFC 9111 section 4.4). */
  invalidate(uri: string): number {
    const variants = this.#byUri.get(uri) ?? [];
    const { length } = variants;
    for (const stored of [...variants]) this.remove(stored);
    return length;
  }

  /** Makes room for so many bytes more of a body that has reserved `own` so far. False: there is none to be had. */
  reserve(bytes: number, own: number): boolean {
    if (bytes > this.maxBytes) return false;
    if (this.arriving > own && this.arriving + bytes > this.maxBytes / 2) return false;
    while (this.bytes + bytes > this.maxBytes) if (!this.#evict()) return false;
    this.bytes += bytes;
    this.arriving += bytes;
    return true;
  }

  release(bytes: number): void {
    this.bytes -= bytes;
    this.arriving -= bytes;
  }

  /** A stored response's fields have changed: it takes `bytes` now. */
  resize(stored: StoredResponse, bytes: number): void {
    if (!stored.held) return;
    this.bytes += bytes - stored.bytes;
    stored.bytes = bytes;
    while (this.bytes > this.maxBytes) if (!this.#evict()) return;
  }

  setMaxBytes(maxBytes: number): void {
    this.maxBytes = maxBytes;
    while (this.bytes > maxBytes) if (!this.#evict()) return;
  }

  /** The fetch that others may wait for. One that takes too long, because its service hangs or its caller does not read, holds nobody up any more. */
  openFetch(key: string, maxAgeMs: number, now: number): Fetch | undefined {
    const open = this.fetches.get(key);
    return open !== undefined && now - open.begunAt < maxAgeMs ? open : undefined;
  }

  isUnshared(key: string, now: number): boolean {
    const until = this.#unshared.get(key);
    if (until === undefined) return false;
    if (now < until) return true;
    this.#unshared.delete(key);
    return false;
  }

  markUnshared(key: string, now: number): void {
    if (key.length > MAX_UNSHARED_KEY) return; // what callers make long is not worth the memory
    makeRoom(this.#unshared, MAX_UNSHARED);
    this.#unshared.set(key, now + UNSHARED_MS);
  }

  #evict(): boolean {
    let at = this.#hand ?? this.#oldest;
    if (at === null) return false;
    while (at.visited) {
      at.visited = false;
      at = at.newer ?? (this.#oldest as StoredResponse);
    }
    this.#hand = at.newer;
    this.remove(at);
    this.counts.evicted++;
    return true;
  }
}

/** Calls with one answer to come: the first fetches it, the others wait. */
export class Fetch {
  readonly key: string;
  readonly begunAt: number;
  readonly waiting: CallState[] = [];
  /** "open" until it is known what became of it. "shared": it was stored. "unshared": it may not be. "failed": the service did. "gone": nobody knows. */
  outcome: "open" | "shared" | "unshared" | "failed" | "gone" = "open";

  constructor(key: string, now: number) {
    this.key = key;
    this.begunAt = now;
  }

  settle(outcome: Fetch["outcome"], store: CacheStore): void {
    if (this.outcome !== "open") return;
    this.outcome = outcome;
    if (store.fetches.get(this.key) === this) store.fetches.delete(this.key);
    const { waiting } = this;
    for (const call of waiting) call.wake();
    waiting.length = 0;
  }

  leave(call: CallState): void {
    const at = this.waiting.indexOf(call);
    if (at >= 0) this.waiting.splice(at, 1);
  }
}

/** What became of calls at a cache, for metrics. */
export class CacheCounts {
  hits = 0;
  staleHits = 0;
  misses = 0;
  revalidated = 0;
  collapsed = 0;
  bypassed = 0;
  stored = 0;
  evicted = 0;
  invalidated = 0;
}

function matches({ vary, varyValues }: StoredResponse, call: CallState): boolean {
  for (let i = 0; i < vary.length; i++) if (variantValue(call, vary[i]) !== varyValues[i]) return false;
  return true;
}

function sameVariant(one: StoredResponse, other: StoredResponse): boolean {
  return (
    one.scope === other.scope &&
    one.vary.join() === other.vary.join() &&
    one.varyValues.every((value, i) => value === other.varyValues[i])
  );
}

/** Of one URI. */
const MAX_VARIANTS = 16;
const MAX_UNSHARED = 4_096;
const MAX_UNSHARED_KEY = 512;
const UNSHARED_MS = 5_000;
