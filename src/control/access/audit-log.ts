import { randomBytes } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { networkOf } from "../../core/network-of.ts";
import { ABSENT, ANY, type KeyValue } from "../../settings/key-value.ts";

export interface AuditEntry {
  /** Orders all entries. */
  readonly cursor: string;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
  readonly who: string;
  readonly address: string;
  /** "Admin/PublishRevision" */
  readonly action: string;
  readonly about: string;
  readonly revision: number;
  /** "done", or why not; "begun": whoever was asked has not said what came of it. */
  readonly outcome: string;
  readonly times: number;
}

export type Audited = Pick<AuditEntry, "who" | "address" | "action" | "about" | "revision">;

export interface AuditLogOptions {
  readonly store: KeyValue;
  readonly clock: Clock;
  /** Told when something could not be written down. */
  readonly onEvent?: (message: string) => void;
}

/**
 * Every change that was made (`audit/...`) or refused (`refused/...`), in the store, whichever control plane was asked. Entries stand in segments, some hundred each, appended by compare-and-set; the
 * oldest segments of a place are dropped, so that nobody drives out what was done by what he is refused. The same refusal within ten seconds is one entry that says how often, and of
 * those above MAX_REPEATED there is one that says how many.
 *
 *     begun, written down --carried out--> done (takes its place)
 *        |       |          '--failed----> taken back, and written down as refused
 *        |       '--the control plane dies--> stays, so that no change is without an entry
 *        '--the store takes nothing--> nothing is changed, and whoever asked is told
 */
export class AuditLog {
  readonly #options: AuditLogOptions;
  /** To be written, by place. */
  readonly #waiting: Readonly<Record<Place, AuditEntry[]>> = { audit: [], refused: [] };
  #writing: Promise<void> = Promise.resolve();
  /** Refusals that may come again, by what they are. */
  readonly #repeated = new Map<string, { times: number }>();
  #written = 0;
  /** Who waits for an entry to be written, and with what is there of it: the key of its segment. */
  readonly #begun = new Map<AuditEntry, { resolve: (key: string) => void; reject: (thrown: unknown) => void }>();
  readonly #ended: Ended[] = [];
  #kept = 0;
  #lost = 0;

  constructor(options: AuditLogOptions) {
    this.#options = options;
  }

  /** How many entries were written here, and how many could not be. */
  get counts(): { readonly written: number; readonly lost: number } {
    return { written: this.#kept, lost: this.#lost };
  }

  /**
   * Carries a change out once it is written down that it begins; resolves when it is written down what came of it, or that was given up, which people are told of: what was changed stays changed.
   * Rejects `unavailable` (AUDIT_AWAY) when nothing can be written down, and nothing was changed then; otherwise as `act` does.
   */
  async change<T>(audited: Audited, act: () => Promise<T>, revisionOf: (made: T) => number = () => 0): Promise<T> {
    const begun = this.#entry(audited, BEGUN, 1);
    const written = this.#begin(begun);
    const key = await this.#within(written).catch((thrown) => {
      // It may be written all the same.
      void written.then((late) => this.#end({ key: late, begun, done: null }), ignore);
      const { message } = toWeftError(thrown);
      const text = `nothing was changed, for it could not be written to the audit log first: ${message}`;
      throw new WeftError("unavailable", text, { reason: "AUDIT_AWAY", retryable: true, cause: thrown });
    });
    let made: T;
    try {
      made = await act();
    } catch (thrown) {
      void this.#end({ key, begun, done: null });
      this.refused(audited, thrown);
      throw thrown;
    }
    const done = this.#entry({ ...audited, revision: revisionOf(made) }, "done", 1);
    await this.#within(this.#end({ key, begun, done })).catch(ignore);
    return made;
  }

  #begin(begun: AuditEntry): Promise<string> {
    const written = new Promise<string>((resolve, reject) => this.#begun.set(begun, { resolve, reject }));
    this.#wait("audit", begun);
    void this.#flush();
    return written;
  }

  #end(ended: Ended): Promise<void> {
    this.#ended.push(ended);
    return this.#flush();
  }

  #within<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.#options.clock.after(PATIENCE_MS, () =>
        reject(new WeftError("deadline_exceeded", `the store did not answer within ${PATIENCE_MS} ms`)),
      );
      work.then(resolve, reject).finally(cancel);
    });
  }

  refused(audited: Audited, thrown: unknown): void {
    const { code, reason } = toWeftError(thrown);
    const outcome = `${code} ${reason}`.trim();
    // Who asks for one thing from many ports is one.
    const own = [audited.who, networkOf(audited.address), audited.action, outcome].join("\n");
    const before =
      this.#repeated.get(own) ?? (this.#repeated.size >= MAX_REPEATED ? this.#repeated.get(OTHERS) : undefined);
    if (before !== undefined) return void before.times++;
    const many = this.#repeated.size >= MAX_REPEATED;
    const key = many ? OTHERS : own;
    const told = many ? { who: "others", address: "", action: "", about: "", revision: 0 } : audited;
    const repeated = { times: many ? 1 : 0 };
    this.#repeated.set(key, repeated);
    if (!many) {
      this.#wait("refused", this.#entry(told, outcome, 1));
      void this.#flush();
    }
    this.#options.clock.after(REPEAT_MS, () => {
      this.#repeated.delete(key);
      if (repeated.times === 0) return;
      this.#wait("refused", this.#entry(told, many ? "refused" : outcome, repeated.times));
      void this.#flush();
    });
  }

  /** The newest, oldest of them first. */
  async list(limit: number, after: string): Promise<readonly AuditEntry[]> {
    const places = await Promise.all(PLACES.map((place) => this.#newest(place, limit)));
    // What has only just begun is under way; what comes of it has a place of its own.
    const began = this.#options.clock.wallMs() - UNDER_WAY_MS;
    return places
      .flat()
      .filter(({ cursor, outcome, atMs }) => cursor > after && (outcome !== BEGUN || atMs < began))
      .sort((a, b) => (a.cursor < b.cursor ? -1 : 1))
      .slice(-limit);
  }

  async #newest(place: Place, limit: number): Promise<AuditEntry[]> {
    const entries: AuditEntry[] = [];
    for (const key of [...(await this.#options.store.keys(place))].reverse()) {
      const item = await this.#options.store.get(key);
      if (item !== null) entries.push(...decode(item.value));
      // One more: entries of control planes whose clocks differ stand beside each other.
      if (entries.length >= limit + SEGMENT_ENTRIES) break;
    }
    return entries;
  }

  async close(): Promise<void> {
    await Promise.race([
      this.#flush(),
      new Promise<void>((resolve) => void this.#options.clock.after(PATIENCE_MS, resolve)),
    ]);
  }

  #entry(audited: Audited, outcome: string, times: number): AuditEntry {
    const atMs = this.#options.clock.wallMs();
    const cursor = `${String(atMs).padStart(15, "0")}-${String(++this.#written % 1_000_000).padStart(6, "0")}-${randomBytes(3).toString("hex")}`;
    return { cursor, atMs, ...audited, outcome, times };
  }

  #flush(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      for (const place of PLACES) {
        const entries = this.#waiting[place].splice(0);
        for (let from = 0; from < entries.length; from += SEGMENT_ENTRIES) {
          const part = entries.slice(from, from + SEGMENT_ENTRIES);
          await this.#append(place, part).then(
            (key) => this.#told(part, ({ resolve }) => resolve(key)),
            (thrown) => {
              this.#told(part, ({ reject }) => reject(thrown));
              this.#gaveUp(part.length, thrown);
            },
          );
        }
      }
      const ended = this.#ended.splice(0);
      for (const key of new Set(ended.map((each) => each.key))) {
        const ofKey = ended.filter((each) => each.key === key);
        await this.#replace(key, ofKey).catch((thrown) => this.#gaveUp(ofKey.length, thrown));
      }
    });
    return this.#writing;
  }

  #told(
    entries: readonly AuditEntry[],
    tell: (one: { resolve(key: string): void; reject(thrown: unknown): void }) => void,
  ) {
    for (const entry of entries) {
      const waiting = this.#begun.get(entry);
      this.#begun.delete(entry);
      if (waiting !== undefined) tell(waiting);
    }
  }

  #gaveUp(count: number, thrown: unknown): void {
    this.#lost += count;
    const { message } = toWeftError(thrown);
    this.#options.onEvent?.(`${count} changes could not be written to the audit log: ${message}`);
  }

  /** What came of changes that begin in a segment takes their place there. */
  async #replace(key: string, ended: readonly Ended[]): Promise<void> {
    const { store } = this.#options;
    const byCursor = new Map(ended.map(({ begun, done }) => [begun.cursor, done]));
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const item = await store.get(key);
      if (item === null) return; // dropped meanwhile
      const entries = decode(item.value).flatMap((entry) => {
        const done = byCursor.get(entry.cursor);
        return done === undefined ? [entry] : done === null ? [] : [done];
      });
      if ((await store.put(key, encode(entries), item.version)) !== null) return;
    }
    throw new Error(CONTENDED);
  }

  /** While the store takes nothing, memory is not what fills. */
  #wait(place: Place, entry: AuditEntry): void {
    const waiting = this.#waiting[place];
    if (waiting.length < MAX_WAITING) return void waiting.push(entry);
    this.#told([entry], ({ reject }) => reject(new Error("too much waits to be written there")));
    this.#lost++;
    this.#options.onEvent?.(`${entry.action} of ${entry.who} is not in the audit log: the store takes nothing`);
  }

  /** At most SEGMENT_ENTRIES. Resolves with the key of their segment. */
  async #append(place: Place, entries: readonly AuditEntry[]): Promise<string> {
    const { store } = this.#options;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const keys = await store.keys(place);
      const newest = keys.at(-1);
      const item = newest === undefined ? null : await store.get(newest);
      const before = item === null ? [] : decode(item.value);
      const value = encode([...before, ...entries]);
      const fits = before.length + entries.length <= SEGMENT_ENTRIES && value.length <= SEGMENT_BYTES;
      if (item !== null && fits) {
        if ((await store.put(item.key, value, item.version)) !== null) {
          this.#kept += entries.length;
          return item.key;
        }
        continue; // another control plane has written there
      }
      const key = `${place}/${entries[0].cursor}`;
      if ((await store.put(key, encode(entries), ABSENT)) === null) continue;
      for (const old of keys.slice(0, Math.max(0, keys.length + 1 - MAX_SEGMENTS))) await store.delete(old, ANY);
      this.#kept += entries.length;
      return key;
    }
    throw new Error(CONTENDED);
  }
}

function encode(entries: readonly AuditEntry[]): Uint8Array {
  return Buffer.from(JSON.stringify(entries));
}

function decode(value: Uint8Array): readonly AuditEntry[] {
  try {
    const entries: unknown = JSON.parse(Buffer.from(value).toString());
    return Array.isArray(entries) ? (entries as AuditEntry[]).filter((entry) => typeof entry?.cursor === "string") : [];
  } catch {
    return [];
  }
}

/** What came of a change whose beginning stands in the segment `key`; null: that is taken back. */
interface Ended {
  readonly key: string;
  readonly begun: AuditEntry;
  readonly done: AuditEntry | null;
}

function ignore(): void {}

const BEGUN = "begun";
const UNDER_WAY_MS = 5_000;
const CONTENDED = "too many write there at once";
const PLACES = ["audit", "refused"] as const;
type Place = (typeof PLACES)[number];
const SEGMENT_ENTRIES = 200;
const SEGMENT_BYTES = 200_000;
/** So 20,000 entries of each place are kept, or somewhat fewer. */
const MAX_SEGMENTS = 100;
const MAX_REPEATED = 1_000;
const OTHERS = "others";
const MAX_WAITING = 10_000;
const REPEAT_MS = 10_000;
/** So long a change waits to be written down. */
const PATIENCE_MS = 2_000;
const MAX_TRIES = 8;
