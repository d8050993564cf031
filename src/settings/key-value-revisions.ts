import { randomUUID } from "node:crypto";
import { type Cancel, type Clock, systemClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { ABSENT, ANY, type KeyValue, type KeyValueItem } from "./key-value.ts";
import { storeClosed } from "./key-value-check.ts";
import { RevisionContents } from "./revision-contents.ts";
import { decodeEntry, encodeEntry, type RevisionEntry, unusable } from "./revision-entry.ts";
import type { RevisionNote, RevisionStore, StoredRevision } from "./revision-store.ts";
import { assertTagName, tagsFull, unknownRevision } from "./revision-tags.ts";

export interface KeyValueRevisionsOptions {
  clock?: Clock;
  /** Closes the store with it. Default false: it belongs to whoever opened it. */
  closeStore?: boolean;
}

/**
 * Revisions in a KeyValue, which several control planes may share:
 *
 *     revisions/entries/NUMBER   one revision, made once: that an entry could be created is what decides who was first
 *     revisions/chunks/DIGEST    parts of contents too large for their entry; revisions that are alike share them (revision-contents.ts)
 *     revisions/head             the newest number. A hint, always behind or right: it is looked further from there, and put right by whoever finds it wrong
 *     revisions/line             what tells these revisions from those of other stores, made once
 *     revisions/names            tags, and the floor below which only what has a tag is kept
 *
 * Invariants:
 * R1 an entry is created after all chunks that it names, and only as the follower of the newest one.
 * R2 an entry is dropped after the floor is above it (or its tag is gone), and tags are given to what is above the floor alone; both are changes of one key.
 * R3 a chunk is dropped when no entry names it and nobody has put it (again) for GRACE_MS, and no append takes as long.
 */
export class KeyValueRevisions implements RevisionStore {
  readonly #store: KeyValue;
  readonly #clock: Clock;
  readonly #contents: RevisionContents;
  readonly #closeStore: boolean;
  readonly #listeners = new Set<(revision: number) => void>();
  /** The newest that was seen here; 0: none. */
  #newest = 0;
  #told = 0;
  /** Of the entry that was told of. */
  #toldId = "";
  #looking = false;
  #lookAgain = false;
  #follow: { close(): void } | null = null;
  #cancelAgain: Cancel = ignore;
  #hinting: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(store: KeyValue, { clock = systemClock, closeStore = false }: KeyValueRevisionsOptions = {}) {
    this.#store = store;
    this.#clock = clock;
    this.#contents = new RevisionContents(store, clock);
    this.#closeStore = closeStore;
  }

  async head(): Promise<StoredRevision | null> {
    this.#assertOpen();
    for (;;) {
      const head = await this.#find();
      if (head === null) return null;
      const whole = await this.#whole(head);
      if (whole !== null) return whole;
    }
  }

  async newest(): Promise<RevisionNote | null> {
    this.#assertOpen();
    const head = await this.#find();
    return head === null ? null : noteOf(head);
  }

  async get(revision: number): Promise<StoredRevision | null> {
    this.#assertOpen();
    const entry = await this.#entry(revision);
    return entry === null ? null : this.#whole(entry);
  }

  async list(limit: number, before: number): Promise<readonly RevisionNote[]> {
    this.#assertOpen();
    const numbers = (await this.#numbers()).filter((number) => number < before).slice(-Math.max(1, limit));
    const notes: RevisionNote[] = [];
    for (let end = numbers.length; end > 0; end -= AT_ONCE) {
      const entries = await Promise.all(numbers.slice(Math.max(0, end - AT_ONCE), end).map((one) => this.#entry(one)));
      for (const entry of entries.reverse()) if (entry !== null) notes.push(noteOf(entry));
    }
    return notes;
  }

  async append(revision: StoredRevision): Promise<boolean> {
    this.#assertOpen();
    const began = this.#clock.now();
    const head = await this.#find();
    if ((head?.revision ?? 0) !== revision.revision - 1) return false;
    const [resources, settings] = await this.#contents.put([revision.resources, revision.settings], head);
    // Somebody may have dropped the chunks by now (R3).
    if (this.#clock.now() - began > SLOW_MS)
      throw new WeftError("unavailable", "the store is too slow to keep a revision", { reason: "STORE_SLOW" });
    const entry: RevisionEntry = { ...noteOf(revision), id: randomUUID(), resources, settings };
    if (!(await this.#create(keyOf(revision.revision), encodeEntry(entry)))) return false;
    this.#newest = revision.revision;
    this.#hint(revision.revision);
    return true;
  }

  watch(listener: (revision: number) => void): { close(): void } {
    this.#assertOpen();
    const own = (revision: number): void => listener(revision);
    this.#listeners.add(own);
    this.#follow ??= this.#followHead();
    if (this.#told > 0) queueMicrotask(() => this.#listeners.has(own) && own(this.#told));
    return { close: () => void this.#listeners.delete(own) };
  }

  async line(): Promise<string> {
    this.#assertOpen();
    for (;;) {
      const item = await this.#store.get(LINE);
      if (item !== null) return Buffer.from(item.value).toString().slice(0, MAX_LINE);
      await this.#store.put(LINE, Buffer.from(randomUUID()), ABSENT);
    }
  }

  async tags(): Promise<Readonly<Record<string, number>>> {
    this.#assertOpen();
    return (await this.#names()).tags;
  }

  async tag(name: string, revision: number): Promise<void> {
    this.#assertOpen();
    assertTagName(name);
    if (revision !== 0 && (await this.#entry(revision)) === null) throw unknownRevision(revision);
    await this.#changeNames(({ floor, tags }) => {
      const { [name]: _, ...others } = tags;
      if (revision === 0) return { floor, tags: others };
      if (revision < floor && !Object.values(tags).includes(revision)) throw unknownRevision(revision);
      if (Object.keys(others).length >= MAX_TAGS) throw tagsFull(MAX_TAGS);
      return { floor, tags: { ...others, [name]: revision } };
    });
  }

  async retain(keep: number): Promise<number> {
    this.#assertOpen();
    const numbers = await this.#numbers();
    const first = numbers.at(-Math.max(1, keep)) ?? 0;
    let { floor, tags } = await this.#names();
    if (first > floor)
      ({ floor, tags } = await this.#changeNames((names) => ({ ...names, floor: Math.max(first, names.floor) })));
    const tagged = new Set(Object.values(tags));
    let dropped = 0;
    for (const number of numbers) {
      if (number >= floor || tagged.has(number)) continue;
      if (await this.#store.delete(keyOf(number), ANY)) dropped++;
    }
    await this.#contents.drop(async () => this.#inUse());
    return dropped;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#follow?.close();
    this.#cancelAgain();
    this.#listeners.clear();
    await this.#hinting;
    if (this.#closeStore) await this.#store.close();
  }

  /** The newest entry: from the hint on upwards, or from the list where the hint says nothing. */
  async #find(): Promise<RevisionEntry | null> {
    const known = this.#newest;
    // Mostly nothing has changed, and that is known when a store that is far away has been asked once.
    const [item, there, after] = await Promise.all([this.#store.get(HEAD), this.#entry(known), this.#entry(known + 1)]);
    const hinted = item === null ? 0 : Number(Buffer.from(item.value).toString());
    let number = Math.max(known, Number.isSafeInteger(hinted) ? hinted : 0);
    let entry = number === known ? there : await this.#entry(number);
    if (entry === null) {
      number = (await this.#numbers()).at(-1) ?? 0;
      if (number === 0) return null;
      entry = await this.#entry(number);
    }
    for (let steps = 0; ; steps++) {
      const next: RevisionEntry | null = number === known ? after : await this.#entry(number + 1);
      if (next === null) break;
      // Somebody publishes as fast as is read here: what is the newest at one moment will do.
      if (steps === MAX_STEPS) return this.#newestListed();
      [entry, number] = [next, number + 1];
    }
    this.#newest = number;
    if (number !== hinted) this.#hint(number);
    return entry;
  }

  async #newestListed(): Promise<RevisionEntry | null> {
    for (;;) {
      const number = (await this.#numbers()).at(-1) ?? 0;
      if (number === 0) return null;
      const entry = await this.#entry(number);
      if (entry === null) continue; // dropped meanwhile
      this.#newest = number;
      return entry;
    }
  }

  async #numbers(): Promise<number[]> {
    const keys = await this.#store.keys(ENTRIES);
    return keys.map((key) => Number(key.slice(ENTRIES.length + 1))).filter((number) => Number.isSafeInteger(number));
  }

  async #entry(revision: number): Promise<RevisionEntry | null> {
    if (!Number.isSafeInteger(revision) || revision < 1) return null;
    const item = await this.#store.get(keyOf(revision));
    return item === null ? null : decodeEntry(item.value, revision);
  }

  /** Null: it was dropped meanwhile. */
  async #whole(entry: RevisionEntry): Promise<StoredRevision | null> {
    try {
      const resources = await this.#contents.get(entry.resources, "resources");
      const settings = await this.#contents.get(entry.settings, "settings");
      return { ...noteOf(entry), resources, settings };
    } catch (thrown) {
      if ((await this.#entry(entry.revision)) === null) return null;
      throw thrown;
    }
  }

  /** What a driver cannot say (the answer was lost) the entry itself does: no two are alike. */
  async #create(key: string, value: Uint8Array): Promise<boolean> {
    try {
      if ((await this.#store.put(key, value, ABSENT)) !== null) return true;
    } catch (thrown) {
      const there = await this.#store.get(key).catch(() => null);
      if (there === null) throw thrown;
      return Buffer.from(value).equals(there.value);
    }
    const there = await this.#store.get(key);
    return there !== null && Buffer.from(value).equals(there.value);
  }

  /** Nobody waits for it: the entry counts. */
  #hint(revision: number): void {
    this.#hinting = this.#hinting.then(async () => {
      try {
        const item: KeyValueItem | null = await this.#store.get(HEAD);
        if (item !== null && Number(Buffer.from(item.value).toString()) === revision) return;
        if (revision < this.#newest) return;
        await this.#store.put(HEAD, Buffer.from(String(revision)), item?.version ?? ABSENT);
      } catch {
        this.#lookSoon(); // whoever looks next puts it right
      }
    });
  }

  #followHead(): { close(): void } {
    let cancel = (): void => {};
    const watch = this.#store.watch(HEAD, () => void this.#look());
    // An entry whose author died before it could give the hint.
    const again = (): void => {
      cancel = this.#clock.after(LOOK_MS, () => {
        void this.#look();
        again();
      });
    };
    again();
    return {
      close: () => {
        cancel();
        watch.close();
      },
    };
  }

  async #look(): Promise<void> {
    this.#lookAgain = true;
    if (this.#looking) return;
    this.#looking = true;
    while (this.#lookAgain && !this.#closed) {
      this.#lookAgain = false;
      try {
        const head = await this.#find();
        const { revision: newest = 0, id = "" } = head ?? {};
        if (id === this.#toldId || this.#closed) continue;
        // Another entry of that number: all were lost, and there are as many again, since it was looked last.
        const again = newest === this.#told;
        this.#told = newest;
        this.#toldId = id;
        for (const number of again ? [0, newest] : [newest]) for (const listener of this.#listeners) listener(number);
      } catch {
        this.#lookSoon(); // what the store told of once, it may not tell of again
      }
    }
    this.#looking = false;
  }

  /** The store did not answer. */
  #lookSoon(): void {
    this.#cancelAgain();
    if (!this.#closed && this.#follow !== null)
      this.#cancelAgain = this.#clock.after(AGAIN_MS, () => void this.#look());
  }

  async #inUse(): Promise<Set<string>> {
    const used = new Set<string>();
    for (const number of await this.#numbers()) {
      const entry = await this.#entry(number);
      for (const digest of [...(entry?.resources.chunks ?? []), ...(entry?.settings.chunks ?? [])]) used.add(digest);
    }
    return used;
  }

  async #names(): Promise<Names & { version: string }> {
    const item = await this.#store.get(NAMES);
    if (item === null) return { floor: 0, tags: {}, version: ABSENT };
    return { ...decodeNames(item.value), version: item.version };
  }

  async #changeNames(change: (names: Names) => Names): Promise<Names> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { version, ...names } = await this.#names();
      const next = change(names);
      if ((await this.#store.put(NAMES, Buffer.from(JSON.stringify(next)), version)) !== null) return next;
    }
    const text = "names of revisions are being changed by many at once; try again";
    throw new WeftError("aborted", text, { reason: "CONTENDED", retryable: true });
  }

  #assertOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}

interface Names {
  readonly floor: number;
  readonly tags: Readonly<Record<string, number>>;
}

function decodeNames(value: Uint8Array): Names {
  try {
    const { floor, tags } = JSON.parse(Buffer.from(value).toString()) as Names;
    const good = Number.isSafeInteger(floor) && Object.values(tags).every((number) => Number.isSafeInteger(number));
    if (good) return { floor, tags };
  } catch {
    // Said below.
  }
  throw unusable("the names of revisions");
}

function keyOf(revision: number): string {
  return `${ENTRIES}/${String(revision).padStart(12, "0")}`;
}

function noteOf({ revision, author, reason, publishedMs, changes }: RevisionNote): RevisionNote {
  return { revision, author, reason, publishedMs, changes };
}

const ENTRIES = "revisions/entries";
const HEAD = "revisions/head";
const LINE = "revisions/line";
const NAMES = "revisions/names";
const AT_ONCE = 16;
const LOOK_MS = 5_000;
const AGAIN_MS = 500;
const MAX_LINE = 64;
const MAX_TAGS = 1_000;
const MAX_STEPS = 4;
const MAX_TRIES = 20;
/** Half of what chunks are kept for that nobody names. */
const SLOW_MS = 30_000;

function ignore(): void {}
