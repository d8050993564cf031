import { randomBytes } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import { toWeftError } from "../../core/errors.ts";
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
  /** "done", or why not. */
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
 * Every change that was made or refused, in the store, whichever control plane was asked. Entries stand in segments (`audit/...`, some hundred each), appended by compare-and-set; the
 * oldest segments are dropped. Whoever asks again and again for what is refused fills nothing: the same refusal within ten seconds is one entry that says how often.
 */
export class AuditLog {
  readonly #options: AuditLogOptions;
  /** To be written. */
  #waiting: AuditEntry[] = [];
  #writing: Promise<void> = Promise.resolve();
  /** Refusals that may come again, by what they are. */
  readonly #repeated = new Map<string, { entry: AuditEntry; times: number }>();
  #written = 0;

  constructor(options: AuditLogOptions) {
    this.#options = options;
  }

  /** Resolves when it is written down, or that was given up, which people are told of: what was changed stays changed. */
  async made(audited: Audited): Promise<void> {
    this.#waiting.push(this.#entry(audited, "done", 1));
    await Promise.race([
      this.#flush(),
      new Promise<void>((resolve) => void this.#options.clock.after(PATIENCE_MS, resolve)),
    ]);
  }

  refused(audited: Audited, thrown: unknown): void {
    const { code, reason } = toWeftError(thrown);
    const outcome = `${code} ${reason}`.trim();
    // Who asks for one thing from many ports is one.
    const host = audited.address.slice(0, audited.address.lastIndexOf(":"));
    const key = [audited.who, host, audited.action, outcome].join("\n");
    const before = this.#repeated.get(key);
    if (before !== undefined) return void before.times++;
    if (this.#repeated.size >= MAX_REPEATED) return;
    const entry = this.#entry(audited, outcome, 1);
    const repeated = { entry, times: 0 };
    this.#repeated.set(key, repeated);
    this.#waiting.push(entry);
    void this.#flush();
    this.#options.clock.after(REPEAT_MS, () => {
      this.#repeated.delete(key);
      if (repeated.times === 0) return;
      this.#waiting.push(this.#entry(audited, outcome, repeated.times));
      void this.#flush();
    });
  }

  /** The newest, oldest of them first. */
  async list(limit: number, after: string): Promise<readonly AuditEntry[]> {
    const keys = [...(await this.#options.store.keys(PLACE))].reverse();
    const entries: AuditEntry[] = [];
    for (const key of keys) {
      const item = await this.#options.store.get(key);
      if (item !== null) entries.push(...decode(item.value));
      // One more: entries of control planes whose clocks differ stand beside each other.
      if (entries.length >= limit + SEGMENT_ENTRIES) break;
    }
    return entries
      .filter(({ cursor }) => cursor > after)
      .sort((a, b) => (a.cursor < b.cursor ? -1 : 1))
      .slice(-limit);
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
      const entries = this.#waiting.splice(0);
      if (entries.length === 0) return;
      try {
        await this.#append(entries);
      } catch (thrown) {
        const { message } = toWeftError(thrown);
        this.#options.onEvent?.(`${entries.length} changes could not be written to the audit log: ${message}`);
      }
    });
    return this.#writing;
  }

  async #append(entries: readonly AuditEntry[]): Promise<void> {
    const { store } = this.#options;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const keys = await store.keys(PLACE);
      const newest = keys.at(-1);
      const item = newest === undefined ? null : await store.get(newest);
      const before = item === null ? [] : decode(item.value);
      const value = encode([...before, ...entries]);
      const fits = before.length + entries.length <= SEGMENT_ENTRIES && value.length <= SEGMENT_BYTES;
      if (item !== null && fits) {
        if ((await store.put(item.key, value, item.version)) !== null) return;
        continue; // another control plane has written there
      }
      const key = `${PLACE}/${entries[0].cursor}`;
      if ((await store.put(key, encode(entries.slice(0, SEGMENT_ENTRIES)), ABSENT)) === null) continue;
      for (const old of keys.slice(0, Math.max(0, keys.length + 1 - MAX_SEGMENTS))) await store.delete(old, ANY);
      return;
    }
    throw new Error("too many write there at once");
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

const PLACE = "audit";
const SEGMENT_ENTRIES = 200;
const SEGMENT_BYTES = 200_000;
/** So 20,000 entries are kept, or somewhat fewer. */
const MAX_SEGMENTS = 100;
const MAX_REPEATED = 1_000;
const REPEAT_MS = 10_000;
/** A change is answered all the same. */
const PATIENCE_MS = 2_000;
const MAX_TRIES = 8;
