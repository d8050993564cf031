import { randomBytes } from "node:crypto";
import { Compare_CompareTarget, type WatchResponse } from "../../contract/gen/etcdserverpb/rpc.ts";
import { Event_EventType, type KeyValue } from "../../contract/gen/mvccpb/kv.ts";
import type { Cancel, Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { decodeEndpointValue, type EndpointValue } from "../../registry/endpoint-value.ts";
import { type EndpointRecord, EndpointView } from "../../registry/endpoint-view.ts";
import type { EndpointDelta, Watch } from "../../registry/registry.ts";
import { WatchHub } from "../../registry/watch-hub.ts";
import { decodeEpoch, decodeRemoval, type Epoch, type EtcdKeys, encodeEpoch, type Removal } from "./etcd-keys.ts";
import type { EtcdSession } from "./etcd-session.ts";

export interface EtcdMirrorOptions {
  keys: EtcdKeys;
  clock: Clock;
  /** An endpoint's key is gone without a mark: whether its lease is one of this process's, and in use. */
  isOurs: (record: EndpointRecord) => boolean;
  /** Endpoints of leases that are in use here have lost their keys; `removed`: or somebody has replaced and released them, which was not told. */
  onLost: (records: readonly EndpointRecord[], removed: boolean) => void;
  /** Nobody put these there again; their keys are to be marked. */
  onGivenUp: (ids: readonly string[]) => void;
  /** Told of what cannot be used. */
  onError: (error: WeftError) => void;
}

/**
 * What etcd holds of one system, in this process's memory and for its watchers: one stream for all of them. Without etcd it stays as it is.
 *
 *     new session --same data: watch from the last revision-----------> following
 *         '--------gap (first, compacted, data lost): list, watch-----> following, and everybody is told the whole state
 */
export class EtcdMirror {
  readonly view = new EndpointView();
  readonly #options: EtcdMirrorOptions;
  readonly #hub: WatchHub;
  readonly #reached = new Set<{ readonly revision: number; readonly done: () => void }>();
  /** Of the data that are known; "": none are. */
  #epoch = "";
  /** What came after #revision is not to be had any more. */
  #gap = true;
  #revision = 0;
  /** Until then etcd may have let leases end that are in use. */
  #holdUntil = Number.NEGATIVE_INFINITY;
  #stopHolding: Cancel | null = null;
  #unreadable = new Set<string>();

  constructor(options: EtcdMirrorOptions) {
    this.#options = options;
    this.#hub = new WatchHub(this.view, () => this.#publish());
  }

  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch {
    return this.#hub.watch(services, listener);
  }

  /** Catches up by a new session, and follows it from then on. */
  async follow(session: EtcdSession): Promise<void> {
    const { keys, clock } = this.#options;
    const { epoch, revision } = await this.#epochOf(session);
    const first = this.#epoch === "";
    this.#holdUntil = first ? Number.NEGATIVE_INFINITY : clock.now() + this.#holdMs;
    this.view.raise(epoch.floor);
    if (this.#gap || epoch.id !== this.#epoch || revision < this.#revision) await this.#list(session, epoch.id);
    await session.watch({ ...keys.all, from: this.#revision + 1 }, (response) => this.#take(session, response));
  }

  /** Resolves when everything up to a revision of now is known here, or after `timeoutMs`: it is true in etcd then, too. */
  reached(revision: bigint, timeoutMs = 2_000): Promise<void> {
    if (this.#revision >= Number(revision)) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter = {
        revision: Number(revision),
        done: () => {
          cancel();
          this.#reached.delete(waiter);
          resolve();
        },
      };
      const cancel = this.#options.clock.after(timeoutMs, waiter.done);
      this.#reached.add(waiter);
    });
  }

  get #holdMs(): number {
    return HOLD_MS + HOLD_EACH_MS * this.view.size;
  }

  close(): void {
    this.#hub.close();
    this.#stopHolding?.();
    for (const { done } of [...this.#reached]) done();
  }

  /** The epoch of etcd's data, made where there is none, and its revision. */
  async #epochOf({ kv }: EtcdSession): Promise<{ epoch: Epoch; revision: number }> {
    const { keys } = this.#options;
    const key = keys.epoch;
    for (;;) {
      const { kvs, header } = await kv.range({ key });
      if (kvs.length > 0) return { epoch: decodeEpoch(kvs[0].value), revision: Number(header?.revision) };
      const floor = this.view.version === 0 ? 0 : this.view.version + VERSION_GAP;
      const value = encodeEpoch({ id: randomBytes(8).toString("hex"), floor });
      await kv.txn({
        compare: [{ target: Compare_CompareTarget.CREATE, key, targetUnion: { case: "createRevision", value: 0n } }],
        success: [{ request: { case: "requestPut", value: { key, value } } }],
      });
    }
  }

  /** Everything that etcd has, as of one revision: of now, or later. */
  async read(session: EtcdSession): Promise<{ found: Map<string, Found>; revision: bigint }> {
    const { endpoints } = this.#options.keys;
    const found = new Map<string, Found>();
    let { key } = endpoints;
    let revision = 0n;
    for (let more = true; more; ) {
      const page = await session.kv.range({ key, rangeEnd: endpoints.rangeEnd, limit: PAGE, revision });
      revision ||= page.header?.revision ?? 0n;
      for (const kv of page.kvs) {
        const value = this.#read(kv);
        if (value !== null) found.set(value.endpoint.id, { value, revision: Number(kv.modRevision) });
      }
      more = page.more && page.kvs.length > 0;
      if (more) key = Buffer.concat([page.kvs[page.kvs.length - 1].key, Buffer.of(0)]);
    }
    return { found, revision };
  }

  async #list(session: EtcdSession, epoch: string): Promise<void> {
    const { found, revision } = await this.read(session);
    this.#publish();
    const { clock, isOurs, onLost } = this.#options;
    this.view.listed(found, clock.now() + this.#holdMs);
    const same = this.#epoch === epoch;
    this.#epoch = epoch;
    this.#gap = false;
    this.#revision = Number(revision);
    this.view.advance(this.#revision);
    this.#hub.tellAll();
    for (const { done } of [...this.#reached]) done();
    if (this.view.held === 0) return;
    onLost(this.view.heldBefore(Number.POSITIVE_INFINITY).filter(isOurs), same);
    this.#holdSoon();
  }

  #take(session: EtcdSession, response: WatchResponse): void {
    if (response.canceled) {
      const compacted = response.compactRevision > 0n;
      if (compacted) this.#gap = true;
      const why = compacted ? "the changes since are compacted" : response.cancelReason;
      session.fail(new WeftError("unavailable", `etcd ended the watch: ${why}`, { reason: "WATCH_CANCELLED" }));
      return;
    }
    const { clock, keys, isOurs, onLost } = this.#options;
    // It stood still: leases may have ended whose renewals it had no time to read.
    if (session.silentMs > STALL_MS) this.#holdUntil = Math.max(this.#holdUntil, clock.now() + this.#holdMs);
    if (response.events.length === 0) return;
    const removals = new Map<bigint, Removal>();
    for (const { type, kv } of response.events) {
      if (type === Event_EventType.PUT && kv !== undefined && isKey(kv.key, keys.removed))
        removals.set(kv.modRevision, decodeRemoval(kv.value));
    }
    const lost: EndpointRecord[] = [];
    for (const { type, kv } of response.events) {
      if (kv === undefined) continue;
      const revision = Number(kv.modRevision);
      this.#revision = Math.max(this.#revision, revision);
      const id = keys.idOf(kv.key);
      const removal = removals.get(kv.modRevision);
      if (id === null) {
        if (type === Event_EventType.PUT && isKey(kv.key, keys.removed)) this.#mark(removal);
        else if (isKey(kv.key, keys.epoch)) this.#takeEpoch(session, type, kv);
      } else if (type === Event_EventType.PUT) {
        const value = this.#read(kv);
        if (value !== null) this.view.put(value, revision);
      } else if (removal?.ids.includes(id)) {
        this.view.removed(id, removal.reason, null);
      } else {
        const record = this.view.get(id);
        if (record === undefined || record.heldUntil !== null) continue;
        const ours = isOurs(record);
        const now = clock.now();
        const hold = ours ? now + this.#holdMs : this.#holdUntil > now ? this.#holdUntil : null;
        this.view.removed(id, "lease expired", hold);
        if (ours) lost.push(record);
      }
    }
    this.#publish();
    for (const waiter of [...this.#reached]) if (waiter.revision <= this.#revision) waiter.done();
    if (lost.length > 0) onLost(lost, false);
    this.#holdSoon();
  }

  #mark(removal: Removal | undefined): void {
    for (const id of removal?.ids ?? []) this.view.givenUp(id, removal?.reason ?? "");
  }

  #takeEpoch(session: EtcdSession, type: Event_EventType, kv: KeyValue): void {
    const epoch = type === Event_EventType.PUT ? decodeEpoch(kv.value) : null;
    if (epoch?.id === this.#epoch) return;
    // Somebody put other data in their place.
    session.fail(new WeftError("unavailable", "etcd's data were replaced", { reason: "DATA_REPLACED" }));
  }

  /** Null for what is no endpoint of that key, which is told once. */
  #read(kv: KeyValue): EndpointValue | null {
    const id = this.#options.keys.idOf(kv.key) ?? "";
    try {
      const value = decodeEndpointValue(kv.value);
      if (value.endpoint.id !== id) throw new Error(`it is of ${JSON.stringify(value.endpoint.id)}`);
      this.#unreadable.delete(id);
      return value;
    } catch (cause) {
      if (this.#unreadable.has(id) || this.#unreadable.size >= MAX_UNREADABLE) return null;
      this.#unreadable.add(id);
      const text = `etcd holds no endpoint that can be used under ${JSON.stringify(id.slice(0, 128))}: ${(cause as Error).message}`;
      this.#options.onError(new WeftError("failed_precondition", text, { reason: "BAD_ENDPOINT_VALUE", cause }));
      return null;
    }
  }

  #publish(): void {
    const changes = this.view.takeChanges(this.#revision);
    if (changes !== null) this.#hub.publish(changes, this.view.version);
  }

  /** Looks from time to time whether what is held has come back. */
  #holdSoon(): void {
    if (this.#stopHolding !== null || this.view.held === 0) return;
    const { clock, onGivenUp } = this.#options;
    this.#stopHolding = clock.after(HOLD_TICK_MS, () => {
      this.#stopHolding = null;
      const ids = this.view.heldBefore(clock.now()).map(({ visible }) => visible.id);
      if (ids.length > 0) onGivenUp(ids);
      this.#holdSoon();
    });
  }
}

/** An endpoint as etcd has it. */
export interface Found {
  readonly value: EndpointValue;
  readonly revision: number;
}

function isKey(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** How long owners have, when etcd is back, to put endpoints there again whose leases ended meanwhile: more than the longest pause between attempts, and what writing them takes. */
const HOLD_MS = 3_000;
const HOLD_EACH_MS = 1;
const HOLD_TICK_MS = 250;
/** An answer that comes later than this tells of a server that stood still. */
const STALL_MS = 1_000;
/** Versions may have been told after the last that is known here. */
const VERSION_GAP = 1_000_000;
const PAGE = 500n;
const MAX_UNREADABLE = 1_000;
