import type { Endpoint } from "../core/endpoint.ts";
import { type EndpointValue, visibleOf } from "./endpoint-value.ts";
import type { EndpointChange } from "./lease-table.ts";
import { isSameEndpoint } from "./same-endpoint.ts";

/**
 * What one process knows of the endpoints in a place that several control planes share ("the store"), as a pure machine: what the store says comes in, changes for watchers come out.
 *
 *     put ---> present --removed on purpose (released)--------------> gone
 *                |  \--removed, not to be held---------------------> gone
 *                | removed, or missing from a listing: to be held
 *                v
 *              held --put--> present;   held --given up-------------> gone
 *
 * What the end of a lease or of a control plane's line removed may be the store's own doing (it stood still, or lost its data). Then its endpoint is held in
 * rotation, for its owner to put it there again.
 *
 * Invariants (endpoint-view.test.ts, by number):
 *  V1 applying the changes in order to an empty set gives list();
 *  V2 the version grows with every change that is told, whatever the store's revision does, and by nothing else;
 *  V3 what is held leaves by being given up alone;
 *  V4 what the store says twice, or of what was replaced since, changes nothing.
 */
export class EndpointView<V extends EndpointValue = EndpointValue> {
  readonly #records = new Map<string, EndpointRecord<V>>();
  readonly #services = new Map<string, Map<string, EndpointRecord<V>>>();
  #changes = new Map<string, { before: Endpoint | null; reason: string }>();
  #held = 0;
  #version = 0;

  /** Grows with every change. It is the store's revision, unless that was set back. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#records.size;
  }

  /** Endpoints that the store does not have, or whose plane is away. */
  get held(): number {
    return this.#held;
  }

  get(id: string): EndpointRecord<V> | undefined {
    return this.#records.get(id);
  }

  heldBefore(now: number): EndpointRecord<V>[] {
    if (this.#held === 0) return [];
    return Array.from(this.#records.values()).filter(({ heldUntil }) => heldUntil !== null && heldUntil <= now);
  }

  /** Of the named services ("*": all). */
  list(services: readonly string[]): Endpoint[] {
    if (services.includes("*")) return Array.from(this.#records.values(), ({ visible }) => visible);
    const found: Endpoint[] = [];
    for (const service of new Set(services)) {
      for (const { visible } of this.#services.get(service)?.values() ?? []) found.push(visible);
    }
    return found;
  }

  put(value: V, revision: number, reason = "registered"): void {
    const { id } = value.endpoint;
    const old = this.#records.get(id);
    if (old !== undefined && old.heldUntil === null && old.revision >= revision) return;
    const visible = visibleOf(value);
    const same = old !== undefined && isSameEndpoint(old.visible, visible);
    if (old !== undefined) this.#drop(old);
    const record: EndpointRecord<V> = {
      value,
      visible: same ? old.visible : visible,
      revision,
      there: true,
      heldUntil: null,
    };
    this.#add(record);
    if (!same) this.#changed(id, old?.visible ?? null, reason);
  }

  /** What is known of one changes, but not in the store. */
  amend(id: string, value: V, reason: string): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    const visible = visibleOf(value);
    this.#drop(record);
    const same = isSameEndpoint(record.visible, visible);
    this.#add({ ...record, value, visible: same ? record.visible : visible });
    if (!same) this.#changed(id, record.visible, reason);
  }

  /** The store has it, and nobody who is there renews it. */
  orphaned(id: string, heldUntil: number): void {
    const record = this.#records.get(id);
    if (record === undefined || record.heldUntil !== null) return;
    record.heldUntil = heldUntil;
    this.#held++;
  }

  /** It was removed. `heldUntil`: it may have been the store's doing; null: it was not. */
  removed(id: string, reason: string, heldUntil: number | null): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    record.there = false;
    if (record.heldUntil !== null) return;
    if (heldUntil !== null) {
      record.heldUntil = heldUntil;
      this.#held++;
      return;
    }
    this.#drop(record);
    this.#changed(id, record.visible, reason);
  }

  /** Nobody put it there again. */
  givenUp(id: string, reason: string): void {
    const record = this.#records.get(id);
    if (record === undefined || record.heldUntil === null) return;
    this.#drop(record);
    this.#changed(id, record.visible, reason);
  }

  /** Everything that the store has: after a gap. What it does not have is held. Nothing of it is told as a change: the whole state is to be. */
  listed(values: ReadonlyMap<string, { value: V; revision: number }>, heldUntil: number): void {
    for (const [id, record] of this.#records) {
      // Revisions of before the gap may be of other data.
      record.revision = 0;
      if (values.has(id)) continue;
      if (record.heldUntil === null) this.removed(id, "", heldUntil);
      else record.heldUntil = Math.max(heldUntil, record.heldUntil);
      record.there = false;
    }
    for (const { value, revision } of values.values()) this.put(value, revision);
    this.#changes = new Map();
  }

  /** What has changed since last asked, in order of first occurrence; null when nothing has. `revision`: where the store is now. */
  takeChanges(revision: number): EndpointChange[] | null {
    if (this.#changes.size === 0) return null;
    const changes: EndpointChange[] = [];
    for (const [id, { before, reason }] of this.#changes) {
      const after = this.#records.get(id)?.visible ?? null;
      if (before !== after) changes.push({ id, before, after, reason });
    }
    this.#changes = new Map();
    if (changes.length === 0) return null;
    this.advance(revision);
    return changes;
  }

  /** A version of its own for what is told now. */
  advance(revision: number): void {
    this.#version = Math.max(this.#version + 1, revision);
  }

  #add(record: EndpointRecord<V>): void {
    const { id, service } = record.visible;
    this.#records.set(id, record);
    if (record.heldUntil !== null) this.#held++;
    let ofService = this.#services.get(service);
    if (ofService === undefined) this.#services.set(service, (ofService = new Map()));
    ofService.set(id, record);
  }

  #drop(record: EndpointRecord<V>): void {
    const { id, service } = record.visible;
    if (record.heldUntil !== null) this.#held--;
    this.#records.delete(id);
    const ofService = this.#services.get(service);
    ofService?.delete(id);
    if (ofService?.size === 0) this.#services.delete(service);
  }

  #changed(id: string, before: Endpoint | null, reason: string): void {
    const pending = this.#changes.get(id);
    if (pending === undefined) this.#changes.set(id, { before, reason });
    else pending.reason = reason;
  }
}

export interface EndpointRecord<V extends EndpointValue = EndpointValue> {
  readonly value: V;
  readonly visible: Endpoint;
  /** The store's, of its last change. */
  revision: number;
  /** The store has it, as far as is known. */
  there: boolean;
  /** Not null: the store does not have it, or its plane is away; it is given up then. */
  heldUntil: number | null;
}
