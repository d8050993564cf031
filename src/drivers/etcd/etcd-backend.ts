import type { WatchResponse } from "../../contract/gen/etcdserverpb/rpc.ts";
import type { Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { within } from "../../core/within.ts";
import type { BackendEvents, EndpointBackend, KeptEntry } from "../../registry/endpoint-backend.ts";
import { type EndpointEntry, encodeEndpointEntry } from "../../registry/endpoint-value.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { EtcdClient, isBusy } from "./etcd-client.ts";
import { EtcdEntries, ownerIn } from "./etcd-entries.ts";
import { dataReplaced, EtcdEpoch } from "./etcd-epoch.ts";
import { EtcdKeys } from "./etcd-keys.ts";
import { readRange } from "./etcd-range.ts";
import type { EtcdSession } from "./etcd-session.ts";
import { EtcdSign } from "./etcd-sign.ts";
import type { EtcdTarget } from "./etcd-url.ts";

export interface EtcdBackendOptions {
  target: EtcdTarget;
  system: string;
  clock: Clock;
  random: Random;
}

/**
 * Endpoints in keys that stay, each with the name of its plane; a key under a lease is each plane's sign of life (etcd-sign.ts), so when that ends all that the plane holds is orphaned at once, and nothing
 * has to be written again when it is back. One watch follows all of it.
 *
 *     new session --same data: watch from the last revision------------------> following, confirmed every BEAT_MS
 *         '--------gap (first, compacted, other data): list, watch--> whole ---^
 *
 * In touch is who has heard of everything up to a revision that a quorum named: a server that lags, or is cut off from the others, does not pass for one that is well.
 */
export class EtcdBackend implements EndpointBackend {
  readonly name: string;
  readonly #options: EtcdBackendOptions;
  readonly #keys: EtcdKeys;
  #following: Following | null = null;
  /** Of the data that are known; null: none are. */
  #epoch: EtcdEpoch | null = null;
  /** What came after the entries' revision is not to be had any more, or what was listed was not told yet. */
  #gap = true;
  /** What is told next as whole is of other data than before. */
  #lost = false;
  /** Up to here all is known: the entries' revision, or a later one since which nothing happened to them. */
  #caughtUp = 0;
  /** How far that has to be for us to be in touch, and when we asked; null: we did not. */
  #wanted: { readonly revision: number; readonly askedAt: number } | null = null;
  /** By which we were in touch last. */
  #touched: EtcdSession | null = null;
  #closed = false;

  /** Throws `invalid_argument` for a system that is none. */
  constructor(options: EtcdBackendOptions) {
    assertServiceName(options.system, "system");
    const { target, system } = options;
    this.#options = options;
    this.#keys = new EtcdKeys(target.prefix, system);
    this.name = `etcd at ${target.addresses.join(", ")}`;
  }

  follow(plane: string, events: BackendEvents): Promise<void> {
    const { target, clock, random } = this.#options;
    const { name } = this;
    const keys = this.#keys;
    const onUnusable = (error: WeftError): void => void (this.#closed || events.unusable(error));
    return new Promise((resolve, reject) => {
      const onSession = (session: EtcdSession): Promise<void> => this.#begin(session);
      const onChange = (lost: WeftError | null): void => {
        if (lost === null || this.#closed) return;
        events.lost(this.#away(lost));
        if (HOPELESS.has(lost.code)) reject(this.#away(lost));
      };
      this.#following = {
        events,
        client: new EtcdClient({ target, clock, random, onSession, onChange }),
        sign: new EtcdSign(keys.plane(plane), clock),
        entries: new EtcdEntries({ keys, plane, name, onUnusable }),
        resolve,
      };
    });
  }

  async replace(entry: EndpointEntry, expected: number): Promise<number | null> {
    const { id } = entry.endpoint;
    const key = this.#keys.endpoint(id);
    const put = { case: "requestPut" as const, value: { key, value: encodeEndpointEntry(entry) } };
    return await this.#write(async (session, epoch) => {
      let at = expected === 0 ? 0n : epoch.revisionOf(expected);
      if (at === null) return null; // of other data
      for (;;) {
        const { revision, there } = await epoch.change(session, key, at, put);
        if (revision !== null) return epoch.versionOf(revision);
        // What is no entry is as none.
        if (expected !== 0 || there === null || ownerIn(id, there) !== null) return null;
        at = there.modRevision;
      }
    });
  }

  async remove(id: string, owner: string): Promise<void> {
    const key = this.#keys.endpoint(id);
    const removal = { case: "requestDeleteRange" as const, value: { key } };
    const known = this.#followed().entries.get(id);
    await this.#write(async (session, epoch) => {
      let at = (known?.entry.owner === owner && epoch.revisionOf(known.version)) || 0n;
      for (;;) {
        const { revision, there } = await epoch.change(session, key, at, removal);
        if (revision !== null || there === null || ownerIn(id, there) !== owner) return;
        at = there.modRevision;
      }
    });
  }

  async get(id: string): Promise<KeptEntry | null> {
    const key = this.#keys.endpoint(id);
    const { entries } = this.#followed();
    return await this.#read(async (session, epoch) => {
      const { kvs } = await session.kv.range({ key });
      return kvs.length === 0 ? null : entries.read(id, kvs[0], epoch);
    });
  }

  async read(): Promise<readonly KeptEntry[]> {
    const { entries } = this.#followed();
    return await this.#read(async (session, epoch) => {
      const { kvs } = await readRange(session, { ...this.#keys.endpoints, pageSize: PAGE });
      return kvs.flatMap((kv) => entries.read(this.#keys.read(kv.key)?.name ?? "", kv, epoch) ?? []);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#following === null) return;
    const { client, sign } = this.#following;
    const { clock } = this.#options;
    // If not, its lease runs out.
    if (client.session !== null)
      await within(clock, clock.now() + END_MS, sign.end(client.session), backendClosed).catch(() => {});
    client.close();
  }

  /** Makes a new session ready. */
  async #begin(session: EtcdSession): Promise<void> {
    const { sign, entries } = this.#followed();
    // First, so that nobody takes us for dead who waited for etcd, too.
    await sign.keep(session, null);
    const known = this.#epoch === null ? null : { epoch: this.#epoch, revision: this.#caughtUp };
    const epoch = await EtcdEpoch.find(session, this.#keys.epoch, known);
    if (epoch !== this.#epoch) {
      this.#lost ||= this.#epoch !== null;
      this.#gap = true;
      this.#epoch = epoch;
    }
    if (this.#gap) {
      const { kvs, revision } = await readRange(session, { ...this.#keys.all, pageSize: PAGE });
      if (!entries.list(kvs, revision, epoch)) throw dataReplaced(session);
      this.#caughtUp = entries.revision;
    }
    this.#wanted = null;
    await session.watch({ ...this.#keys.all, from: entries.revision + 1 }, (response) => this.#take(session, response));
    void this.#beat(session);
  }

  #take(session: EtcdSession, response: WatchResponse): void {
    if (this.#closed || session.failure !== null) return;
    const { canceled, created, compactRevision, cancelReason, header, events } = response;
    if (canceled) {
      const compacted = compactRevision > 0n;
      if (compacted) this.#gap = true;
      const why = compacted ? "the changes since are compacted" : cancelReason || "it does not say why";
      session.fail(new WeftError("unavailable", `etcd ended the watch: ${why}`, { reason: "WATCH_CANCELLED" }));
    } else if (created) {
      // Its revision says nothing of what was told.
      if (this.#gap) this.#tellAll(session);
    } else {
      if (events.length > 0) this.#apply(session, events);
      else this.#caughtUp = Math.max(this.#caughtUp, Number(header?.revision ?? 0n));
      this.#confirm(session);
    }
  }

  #tellAll(session: EtcdSession): void {
    const { events, entries, resolve } = this.#followed();
    const lost = this.#lost;
    this.#gap = this.#lost = false;
    this.#touched = session;
    events.whole(entries.all(), lost);
    resolve();
  }

  #apply(session: EtcdSession, happened: WatchResponse["events"]): void {
    const { events, entries } = this.#followed();
    const changes = this.#epoch === null ? null : entries.apply(happened, this.#epoch);
    if (changes === null) {
      this.#gap = true;
      session.fail(dataReplaced(session));
      return;
    }
    this.#caughtUp = Math.max(this.#caughtUp, entries.revision);
    if (changes.length > 0) events.changed(changes);
  }

  /** Keeps our sign of life, and finds out whether all is known, for as long as a session lasts. */
  async #beat(session: EtcdSession): Promise<void> {
    const { clock } = this.#options;
    const { events, sign, entries } = this.#followed();
    // A watch from the past is behind at first: some etcds (up to 3.5.12) that are asked then never answer.
    for (let fresh = true; !this.#closed && session.failure === null; fresh = false) {
      try {
        const askedAt = clock.now();
        const asked = session.kv.range({ key: this.#keys.epoch, keysOnly: true });
        const seen = { revision: entries.revision, there: entries.hasOurSign };
        const [{ header }] = await Promise.all([asked, sign.keep(session, seen)]);
        this.#wanted = { revision: Number(header?.revision ?? 0n), askedAt };
        if (this.#caughtUp < this.#wanted.revision && !fresh) session.askProgress();
        this.#confirm(session);
      } catch (thrown) {
        const error = toWeftError(thrown);
        if (!isBusy(error)) session.fail(error);
      }
      await new Promise<void>((resolve) => void clock.after(BEAT_MS, resolve));
    }
    // Of one that failed before it was in use nobody else tells.
    if (this.#touched !== session || this.#closed || session.failure === null) return;
    events.lost(this.#away(session.failure));
  }

  #confirm(session: EtcdSession): void {
    if (this.#closed || this.#wanted === null || this.#caughtUp < this.#wanted.revision) return;
    const { askedAt } = this.#wanted;
    this.#wanted = null;
    // This process stood still: what was true then says nothing of now.
    if (this.#options.clock.now() - askedAt > LATE_MS) return;
    this.#touched = session;
    this.#followed().events.confirmed();
  }

  #read<T>(what: (session: EtcdSession, epoch: EtcdEpoch) => Promise<T>): Promise<T> {
    return this.#followed().client.call((session) => what(session, this.#epochOf(session)), CALL_MS);
  }

  #write<T>(what: (session: EtcdSession, epoch: EtcdEpoch) => Promise<T>): Promise<T> {
    return this.#followed().client.once((session) => what(session, this.#epochOf(session)), CALL_MS);
  }

  /** Of the data that a session in use has. */
  #epochOf(session: EtcdSession): EtcdEpoch {
    if (this.#epoch === null) throw dataReplaced(session);
    return this.#epoch;
  }

  #away(cause: WeftError): WeftError {
    const code = HOPELESS.has(cause.code) ? cause.code : "unavailable";
    return new WeftError(code, `${this.name} does not answer: ${cause.message}`, { reason: "REGISTRY_AWAY", cause });
  }

  #followed(): Following {
    if (this.#following === null || this.#closed) throw backendClosed();
    return this.#following;
  }
}

interface Following {
  readonly events: BackendEvents;
  readonly client: EtcdClient;
  readonly sign: EtcdSign;
  readonly entries: EtcdEntries;
  /** All was told for the first time. */
  readonly resolve: () => void;
}

function backendClosed(): WeftError {
  return new WeftError("unavailable", "the line to etcd is closed", { reason: "BACKEND_CLOSED" });
}

/** What waiting does not mend. */
const HOPELESS: ReadonlySet<string> = new Set(["unauthenticated", "permission_denied"]);
/** Of one thing that is asked. */
const CALL_MS = 4_000;
const BEAT_MS = 500;
/** As old what is known may be for us to be in touch. */
const LATE_MS = 2_000;
const END_MS = 1_000;
const PAGE = 500;
