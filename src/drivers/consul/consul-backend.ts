import type { Clock } from "../../core/clock.ts";
import { toWeftError, type WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { BackOff } from "../../link/back-off.ts";
import type {
  BackendChange,
  BackendEvents,
  EndpointBackend,
  EndpointEntry,
  KeptEntry,
} from "../../registry/endpoint-backend.ts";
import { PlaneSigns } from "../../registry/plane-signs.ts";
import { UnusableEntries } from "../../registry/unusable-entries.ts";
import { AgentServices } from "./agent-services.ts";
import { ConsulClient } from "./consul-client.ts";
import type { ConsulTarget } from "./consul-url.ts";
import { EntryStore, type Stored, type StoredListing } from "./entry-store.ts";
import { ForeignServices } from "./foreign-services.ts";
import { KvSpace } from "./kv-space.ts";

export interface ConsulBackendOptions {
  target: ConsulTarget;
  system: string;
  clock: Clock;
  random: Random;
}

/**
 * Endpoints in a Consul, for several control planes:
 *
 *     PREFIX/SYSTEM/registry/...    in its store: what is kept, where writes are compared (entry-store.ts). One blocking query follows it.
 *     PREFIX/SYSTEM/planes/PLANE    there, too: each control plane's sign of life, written every 1.5 s (plane-signs.ts)
 *     services of the agent         what is shown of it to Consul's own clients (agent-services.ts)
 *     all other services            what others registered, which is only read (foreign-services.ts)
 *
 * The store, and not the services, decides: what an agent takes reaches Consul's servers later, and is compared with nothing.
 */
export class ConsulBackend implements EndpointBackend {
  readonly name: string;
  readonly #options: ConsulBackendOptions;
  readonly #client: ConsulClient;
  readonly #store: EntryStore;
  readonly #signSpace: KvSpace;
  readonly #signs = new PlaneSigns<number>(DEAD_MS);
  readonly #foreign: ForeignServices;
  #agent: AgentServices | null = null;
  #plane = "";
  #events: BackendEvents | null = null;
  #kept: ReadonlyMap<string, Stored> = new Map();
  #index = 0;
  #epoch = "";
  /** Told as such. */
  #orphans = new Set<string>();
  readonly #foreignVersions = new Map<string, number>();
  #lastForeignVersion = 0;
  /** Since when each mark is known. */
  #marks = new Map<string, { readonly version: number; readonly since: number }>();
  readonly #unusable = new UnusableEntries((error) => this.#events?.unusable(error));
  #beats = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #touchedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #lost = false;
  /** Until then what is missing may be Consul's doing. */
  #doubtUntil = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: ConsulBackendOptions) {
    const { target, system, clock, random } = options;
    this.#options = options;
    this.#client = new ConsulClient(target, clock);
    this.name = this.#client.name;
    this.#store = new EntryStore(new KvSpace(this.#client, `${target.prefix}/${system}/registry`));
    this.#signSpace = new KvSpace(this.#client, `${target.prefix}/${system}/planes`);
    this.#foreign = new ForeignServices({
      client: this.#client,
      clock,
      random,
      onChange: (ids) => this.#tellForeign(ids),
      onUnusable: (error) => this.#events?.unusable(error),
    });
  }

  async follow(plane: string, events: BackendEvents): Promise<void> {
    const { clock, random, system } = this.#options;
    this.#plane = plane;
    const agent = new AgentServices({
      client: this.#client,
      clock,
      system,
      plane,
      isDead: (other) => this.#signs.isDead(other),
      onRefused: (error) => events.unusable(error),
    });
    const backOff = new BackOff(random, { maxMs: 1_000 });
    for (let foreign = false; ; ) {
      try {
        await this.#beat();
        if (!foreign) await this.#startForeign(events);
        foreign = true;
        await agent.start();
        this.#agent = agent;
        this.#events = events;
        this.#apply(await this.#store.list(LIST_MS));
        this.#touch();
        break;
      } catch (thrown) {
        const error = toWeftError(thrown);
        this.#events = null;
        if (error.code !== "unavailable" || this.#closed) throw error;
        if (!this.#lost) events.lost(error);
        this.#lost = true;
        await this.#pause(backOff.next());
      }
    }
    void this.#followStore(backOff);
    this.#beatSoon();
  }

  replace(entry: EndpointEntry, expected: number): Promise<number | null> {
    return this.#store.replace(entry, expected);
  }

  remove(id: string, owner: string): Promise<void> {
    return this.#store.remove(id, owner);
  }

  async get(id: string): Promise<KeptEntry | null> {
    const stored = await this.#store.get(id);
    if (stored?.kind === "entry") return this.#keptOf(stored);
    return this.#keptForeign(id);
  }

  /** What others registered is told as it was known last. */
  async read(): Promise<readonly KeptEntry[]> {
    // Mostly nothing has changed, which a small answer says.
    const index = this.#lost ? 0 : await this.#store.index(0, 0);
    const listing = index === this.#index && !this.#lost ? this.#kept : (await this.#store.list(LIST_MS)).byId;
    return this.#all(listing);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#foreign.close();
    this.#agent?.close();
    this.#client.close();
  }

  async #startForeign(events: BackendEvents): Promise<void> {
    try {
      await this.#foreign.start();
    } catch (thrown) {
      const error = toWeftError(thrown);
      if (error.code !== "permission_denied") throw error;
      events.unusable(error);
    }
  }

  async #followStore(backOff: BackOff): Promise<void> {
    const { clock } = this.#options;
    let index = this.#index;
    while (!this.#closed) {
      try {
        const now = index === 0 ? 0 : await this.#store.index(index, WAIT_MS);
        if (now !== index || now === 0) {
          const started = clock.now();
          const listing = await this.#store.list(LIST_MS);
          if (this.#closed) return;
          this.#apply(listing);
          ({ index } = listing);
          this.#touch();
          backOff.reset();
          // Where all changes all the time, a third of the time is spent on it.
          await this.#pause(Math.min(500, 2 * (clock.now() - started)));
        } else {
          this.#touch();
          backOff.reset();
        }
      } catch (thrown) {
        if (this.#closed) return;
        index = 0;
        this.#failed(toWeftError(thrown));
        await this.#pause(backOff.next());
      }
    }
  }

  #touch(): void {
    const now = this.#options.clock.now();
    if (this.#lost) this.#doubtUntil = now + DOUBT_MS;
    this.#failures = 0;
    this.#lost = false;
    this.#touchedAt = now;
    this.#events?.confirmed();
  }

  /** One broken connection is no loss: another is made at once. */
  #failed(error: WeftError): void {
    const now = this.#options.clock.now();
    this.#failures++;
    if (this.#lost || (this.#failures < 2 && now - this.#touchedAt < WAIT_MS + SLACK_MS)) return;
    this.#lost = true;
    this.#events?.lost(error);
  }

  /** Tells what has changed since the last listing. */
  #apply({ byId, index, epoch }: StoredListing): void {
    const { clock } = this.#options;
    const now = clock.now();
    const events = this.#events as BackendEvents;
    const replaced = epoch !== this.#epoch;
    const lost = replaced && this.#epoch !== "";
    const gap = replaced || now - this.#touchedAt > GAP_MS;
    if (gap && this.#epoch !== "") this.#doubtUntil = now + DOUBT_MS;
    const before = this.#kept;
    this.#kept = byId;
    this.#index = index;
    this.#epoch = epoch;
    const orphans = this.#orphans;
    this.#orphans = new Set();
    const marks = new Map<string, { version: number; since: number }>();
    const changes: BackendChange[] = [];
    const ended: BackendChange[] = [];
    let ours = false;
    for (const [id, stored] of byId) {
      const known = before.get(id);
      const wasEntry = known?.kind === "entry";
      if (stored.kind === "entry") {
        const kept = this.#keptOf(stored);
        if (kept.orphaned) this.#orphans.add(id);
        if (known !== stored && stored.entry.plane === this.#plane) ours = true;
        if (known !== stored || orphans.has(id) !== kept.orphaned) changes.push({ kind: "put", ...kept });
      } else {
        if (stored.kind === "unusable") {
          if (wasEntry) changes.push({ kind: "removed", id, orphaned: true, version: stored.version });
          this.#unusable.found(this.name, id, stored.version, stored.why);
        } else {
          if (wasEntry) ended.push(...endOf(known.entry, stored));
          const mark = this.#marks.get(id);
          marks.set(id, mark?.version === stored.version ? mark : { version: stored.version, since: now });
        }
      }
      if (wasEntry && known !== stored && known.entry.plane === this.#plane) ours = true;
    }
    for (const [id, known] of before) {
      if (byId.has(id) || known.kind !== "entry") continue;
      if (known.entry.plane === this.#plane) ours = true;
      changes.push({ kind: "removed", id, orphaned: true });
    }
    this.#marks = marks;
    // What came and went is in no whole state.
    if (gap && !replaced && ended.length > 0) events.changed(ended);
    if (gap) events.whole(this.#all(byId), lost);
    else if (changes.length + ended.length > 0) events.changed([...ended, ...changes]);
    if (ours) this.#show();
  }

  #show(): void {
    const ours: EndpointEntry[] = [];
    for (const stored of this.#kept.values()) {
      if (stored.kind === "entry" && stored.entry.plane === this.#plane) ours.push(stored.entry);
    }
    this.#agent?.show(ours);
  }

  #all(kept: ReadonlyMap<string, Stored>): KeptEntry[] {
    const all: KeptEntry[] = [];
    for (const stored of kept.values()) if (stored.kind === "entry") all.push(this.#keptOf(stored));
    for (const id of this.#foreign.entries.keys()) {
      const foreign = kept.get(id)?.kind === "entry" ? null : this.#keptForeign(id);
      if (foreign !== null) all.push(foreign);
    }
    return all;
  }

  #keptOf({ entry, version }: Extract<Stored, { kind: "entry" }>): KeptEntry & { orphaned: boolean } {
    return { entry, version, orphaned: entry.plane !== this.#plane && this.#signs.isDead(entry.plane) };
  }

  #keptForeign(id: string): KeptEntry | null {
    const entry = this.#foreign.entries.get(id);
    if (entry === undefined) return null;
    let version = this.#foreignVersions.get(id);
    if (version === undefined) this.#foreignVersions.set(id, (version = ++this.#lastForeignVersion));
    return { entry, version };
  }

  #tellForeign(ids: readonly string[]): void {
    const orphaned = this.#lost || this.#options.clock.now() < this.#doubtUntil;
    const changes: BackendChange[] = [];
    for (const id of ids) {
      this.#foreignVersions.delete(id);
      const kept = this.#keptForeign(id);
      if (this.#kept.get(id)?.kind === "entry") continue;
      changes.push(kept === null ? { kind: "removed", id, orphaned } : { kind: "put", ...kept });
    }
    // Before the first whole state they are part of it.
    if (this.#epoch !== "" && changes.length > 0) this.#events?.changed(changes);
  }

  #beatSoon(): void {
    this.#options.clock.after(BEAT_MS, async () => {
      if (this.#closed) return;
      try {
        await this.#beat();
        await this.#tidy();
      } catch {
        // Who follows the store tells that Consul is away.
      }
      this.#beatSoon();
    });
  }

  /** Gives a sign of life, and looks at those of the others. */
  async #beat(): Promise<void> {
    const { clock } = this.#options;
    await this.#signSpace.transact([{ verb: "set", key: this.#plane, value: Buffer.from(String(++this.#beats)) }]);
    const { items } = await this.#signSpace.list();
    const now = clock.now();
    if (now - this.#lookedAt > MAX_LOOK_GAP_MS) this.#signs.outOfTouch(now);
    this.#lookedAt = now;
    const back = items.filter(({ key, index }) => this.#signs.seen(key, index, now));
    for (const plane of this.#planes()) this.#signs.named(plane, now);
    if (this.#signs.advance(now).length + back.length === 0) return;
    const changes: BackendChange[] = [];
    for (const [id, stored] of this.#kept) {
      if (stored.kind !== "entry") continue;
      const kept = this.#keptOf(stored);
      if (kept.orphaned === this.#orphans.has(id)) continue;
      if (kept.orphaned) this.#orphans.add(id);
      else this.#orphans.delete(id);
      changes.push({ kind: "put", ...kept });
    }
    if (changes.length > 0 && !this.#lost) this.#events?.changed(changes);
  }

  /** Of which something is kept. */
  #planes(): Set<string> {
    const planes = new Set<string>();
    for (const stored of this.#kept.values()) if (stored.kind === "entry") planes.add(stored.entry.plane);
    return planes;
  }

  /** Takes away what nobody needs any more. */
  async #tidy(): Promise<void> {
    const now = this.#options.clock.now();
    const old = [...this.#marks].filter(([, { since }]) => now - since >= MARK_MS).slice(0, MAX_TIDY);
    await this.#store.sweep(old.map(([id, { version }]) => ({ id, version })));
    const named = this.#planes();
    for (const { plane } of this.#signs.deadFor(FORGET_MS, now)) {
      if (named.has(plane)) continue;
      this.#signs.forget(plane);
      await this.#signSpace.transact([{ verb: "delete", key: plane }]);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.after(ms, resolve));
  }
}

/** An entry was removed; it may have been of another registration by then, which was never seen. */
function endOf(known: EndpointEntry, { owner, plane, version }: Extract<Stored, { kind: "mark" }>): BackendChange[] {
  const removed: BackendChange = { kind: "removed", id: known.endpoint.id, orphaned: false, version };
  if (owner === known.owner) return [removed];
  return [{ kind: "put", entry: { ...known, owner, plane }, version }, removed];
}

/** The store is looked at so often though nothing changes: that is how Consul's silence is noticed. */
const WAIT_MS = 750;
const SLACK_MS = 1_500;
const LIST_MS = 4_000;
const BEAT_MS = 1_500;
const DEAD_MS = 6_000;
const MAX_LOOK_GAP_MS = 4_500;
/** After so long without touch, marks may have been taken away that were not seen. */
const GAP_MS = 10_000;
const MARK_MS = 120_000;
const DOUBT_MS = 5_000;
const FORGET_MS = 120_000;
const MAX_TIDY = 200;
