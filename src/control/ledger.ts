import type { Cancel, Clock } from "../core/clock.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import type { RevisionNote, RevisionStore } from "../settings/revision-store.ts";
import type { SettingsState } from "../settings/settings-state.ts";
import { carriedSettings, changesOf } from "./ledger-changes.ts";
import {
  type CurrentResources,
  digestOf,
  encodeResourceSet,
  isSameSettings,
  type LedgerRevision,
  NOTHING,
  resourcesOf,
  revisionOf,
  storedOf,
} from "./ledger-revision.ts";
import {
  assertNotes,
  type CheckedResources,
  type Publication,
  type PublicationNotes,
  type Published,
  type ResourceCheck,
  type SettingsCheck,
  stale,
} from "./publication.ts";
import { REWRITTEN, type RefusedRevision, refusalText, replaces, rewritten } from "./refused-revision.ts";

export interface LedgerParts {
  /** Closed by whoever opened it. */
  revisions: RevisionStore;
  check: ResourceCheck;
  /** Default: everything is good. */
  checkSettings?: SettingsCheck;
  clock: Clock;
  /** What a person should read. Default: nobody does. */
  onEvent?: (line: string) => void;
}

/**
 * The system's resources and settings, revision by revision: only ever appended to, so that a roll-back is a new entry that holds what an old one held. A revision
 * is checked whole before it is accepted, and durable before anybody is told. Several control planes may append to one store:
 *
 *     publish, change, roll back --on what is newest--> append --somebody was first--> look at what is newest, and again
 *     store --another's revision--> current, told to everybody here
 *                '--edited by hand, and it does not hold good--> refused: the current one stays, and people are told
 */
export class Ledger {
  readonly #store: RevisionStore;
  readonly #check: ResourceCheck;
  readonly #checkSettings: SettingsCheck;
  readonly #clock: Clock;
  readonly #onEvent: (line: string) => void;
  readonly #listeners = new Set<(revision: LedgerRevision) => void>();
  #watch: { close(): void } | null = null;
  #current: LedgerRevision = NOTHING;
  /** Of the newest entry that is known, refused or not. */
  #head = 0;
  /** Of that entry, and of the current one, where entries can be rewritten. */
  #headId = "";
  #currentId = "";
  #refused: RefusedRevision | null = null;
  #line = "";
  #confirming: Promise<void> | null = null;
  #encoded: Uint8Array | null = null;
  /** Of `#current`, each as JSON too; null before they are needed. */
  #resources: CurrentResources | null = { resources: [], texts: [] };
  /** What is done to the ledger is done one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  /** What was heard of could not be read, and is looked at again. */
  #lookAgain: Cancel | null = null;
  /** How often it was in vain. */
  #unread = 0;
  #closed = false;

  private constructor({ revisions, check, checkSettings = () => [], clock, onEvent = ignore }: LedgerParts) {
    this.#store = revisions;
    this.#check = check;
    this.#checkSettings = checkSettings;
    this.#clock = clock;
    this.#onEvent = onEvent;
  }

  static async open(parts: LedgerParts): Promise<Ledger> {
    const ledger = new Ledger(parts);
    await ledger.#look();
    await ledger.#readLine();
    ledger.#watch = parts.revisions.watch((revision) => ledger.#heard(revision));
    return ledger;
  }

  /** Hears of no more revisions. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watch?.close();
    this.#lookAgain?.();
    await this.#last;
  }

  /** The newest revision that holds good; 0, without resources and settings, when nothing was ever published. */
  get current(): LedgerRevision {
    return this.#current;
  }

  /** What tells its revisions from those of other ledgers, wherever it is opened; "": not known. */
  get line(): string {
    return this.#line;
  }

  /** The newest entry, where it is not the current one because it does not hold good. */
  get refused(): RefusedRevision | null {
    return this.#refused;
  }

  /** `current` as an encoded ResourceSet, made when it is first asked for. */
  get encoded(): Uint8Array {
    return (this.#encoded ??= encodeResourceSet(this.#current, this.#line));
  }

  /** What `current` holds. */
  get resources(): CurrentResources {
    return (this.#resources ??= resourcesOf(this.#current.resources));
  }

  onChange(listener: (revision: LedgerRevision) => void): void {
    this.#listeners.add(listener);
  }

  /** Looks what is newest in the store, once for all who ask at a time; resolves when that is current here, rejects while the store is away. */
  confirm(): Promise<void> {
    if (this.#confirming !== null) return this.#confirming;
    const confirmed = this.#last.then(() => {
      this.#confirming = null;
      return this.#look();
    });
    this.#last = confirmed.catch(ignore);
    this.#confirming = confirmed;
    return confirmed;
  }

  /** Throws `invalid_argument` (what is wrong with the resources) and `aborted` (STALE_REVISION). Publishing what is current already changes nothing. Settings stay. */
  publish(publication: Publication): Promise<Published> {
    const { text, source } = publication;
    assertNotes({ source });
    return this.#publish(publication, () => ({ ...this.#check(text, source), settings: this.#current.settings }));
  }

  /** Publishes what becomes of the settings, with `nextRevision` as the number of what changes. Resources stay. `edit` may be called again, when somebody else was first. Throws as publish() and as it does. */
  change(
    by: PublicationNotes,
    edit: (settings: SettingsState, nextRevision: number) => SettingsState,
  ): Promise<Published> {
    return this.#publish(by, () => {
      const settings = edit(this.#current.settings, this.#head + 1);
      return {
        ...this.resources,
        settings,
        warnings: settings === this.#current.settings ? [] : this.#checkSettings(settings),
      };
    });
  }

  /** Publishes what a revision held, resources and settings, once it has been checked again. Throws `not_found`, and as publish(). */
  async rollback(
    revision: number,
    author: string,
    reason: string,
    how: Pick<Publication, "expected" | "validateOnly"> = {},
  ): Promise<Published> {
    const target = await this.get(revision);
    const said = reason === "" ? `rollback to revision ${target.revision}` : reason;
    return this.#publish({ author, reason: said, ...how }, () => {
      const checked = this.#check(target.resources, `revision ${target.revision}`);
      const now = { revision: this.#head + 1, author, atMs: this.#clock.wallMs() };
      const settings = carriedSettings(this.#current.settings, target.settings, now);
      return { ...checked, settings, warnings: [...checked.warnings, ...this.#checkSettings(settings)] };
    });
  }

  /** 0 is the current one. Throws `not_found`. */
  async get(revision: number): Promise<LedgerRevision> {
    if (revision === 0 || revision === this.#current.revision) return this.#current;
    const stored = await this.#store.get(revision);
    if (stored !== null) return revisionOf(stored);
    const text = `there is no revision ${revision}, or it was dropped; the newest is ${this.#head}`;
    throw new WeftError("not_found", text, { reason: "UNKNOWN_REVISION" });
  }

  /** The one that was the newest then, ms since the Unix epoch. Throws `not_found`. */
  async at(ms: number): Promise<LedgerRevision> {
    if (this.#current.revision > 0 && this.#current.publishedMs <= ms) return this.#current;
    let before = Number.MAX_SAFE_INTEGER;
    for (;;) {
      const notes = await this.#store.list(PAGE, before);
      const found = notes.find(({ publishedMs }) => publishedMs <= ms);
      if (found !== undefined) return this.get(found.revision);
      if (notes.length === 0) break;
      before = notes[notes.length - 1].revision;
    }
    const first =
      before === Number.MAX_SAFE_INTEGER ? "none was ever published" : `the oldest that is kept is ${before}`;
    throw new WeftError("not_found", `no revision was in force then; ${first}`, { reason: "UNKNOWN_REVISION" });
  }

  /** Newest first, older than `before`, without their contents. */
  list(limit: number, before: number): Promise<readonly RevisionNote[]> {
    return this.#store.list(limit, before);
  }

  /** The one with this name. Throws `not_found`. */
  async tagged(name: string): Promise<LedgerRevision> {
    const tags = await this.#store.tags();
    if (Object.hasOwn(tags, name)) return this.get(tags[name]);
    const known = Object.keys(tags).sort().slice(0, 20).join(", ") || "none";
    throw new WeftError("not_found", `no revision has the tag "${name}"; tags: ${known}`, { reason: "UNKNOWN_TAG" });
  }

  /** Names of each revision that has some. */
  async tags(): Promise<ReadonlyMap<number, readonly string[]>> {
    const byRevision = new Map<number, string[]>();
    for (const [name, revision] of Object.entries(await this.#store.tags()).sort())
      byRevision.set(revision, [...(byRevision.get(revision) ?? []), name]);
    return byRevision;
  }

  /** Names a revision; 0 takes the name away. Throws `invalid_argument`, `not_found`. */
  tag(name: string, revision: number): Promise<void> {
    return this.#store.tag(name, revision);
  }

  /** Drops all but the newest `keep` and those with tags; how many were. */
  retain(keep: number): Promise<number> {
    return this.#store.retain(keep);
  }

  #publish(by: PublicationNotes, make: () => Made): Promise<Published> {
    const published = this.#last.then(() => this.#append(by, make));
    this.#last = published.catch(ignore);
    return published;
  }

  async #append(
    { author, reason, expected, validateOnly = false }: PublicationNotes,
    make: () => Made,
  ): Promise<Published> {
    assertNotes({ author, reason });
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      await this.#look();
      if (expected !== undefined && expected !== this.#current.revision) throw stale(expected, this.#current);
      const { warnings, settings, ...made } = make();
      const resources = `[${made.texts.join(",")}]`;
      const digest = digestOf(resources);
      const same = digest === this.#current.digest && isSameSettings(settings, this.#current.settings);
      const refused = this.#refused;
      if (same && !validateOnly && refused === null) return { ...this.#current, warnings };
      const changes = changesOf({ ...this.resources, settings: this.#current.settings }, { ...made, settings });
      const publishedMs = this.#clock.wallMs();
      const next = { revision: this.#head + 1, author, reason, publishedMs, digest, changes, resources, settings };
      const told = refused === null ? warnings : [...warnings, replaces(refused)];
      if (validateOnly) return { ...next, revision: this.#current.revision, warnings: told };
      if (!(await this.#store.append(storedOf(next)))) continue;
      // Of Git: there is one from the first commit on.
      if (this.#line === "") await this.#readLine().catch(ignore);
      this.#take(next, made);
      return { ...next, warnings: told };
    }
    const text = `others published ${MAX_TRIES} times meanwhile; look at what changed and publish again`;
    throw new WeftError("aborted", text, { reason: "CONTENDED", retryable: true });
  }

  #heard(revision: number): void {
    if (this.#closed || (revision === this.#head && this.#store.editable !== true)) return;
    const looked = this.#last.then(async () => {
      if (this.#closed) return;
      await this.#look();
      // All were lost, and what was put back may be alike: it is of another line.
      if (revision === 0) await this.#readLine();
    });
    this.#lookAgain?.();
    this.#lookAgain = null;
    this.#last = looked.then(
      () => {
        this.#unread = 0;
      },
      (thrown) => {
        const text = `revision ${revision} cannot be read: ${toWeftError(thrown).message}`;
        if (this.#unread++ === 0) this.#onEvent(text);
        if (this.#closed) return;
        // The store tells of it once, and nobody may publish for days.
        const pauseMs = Math.min(AGAIN_MS * 2 ** (this.#unread - 1), MAX_AGAIN_MS);
        this.#lookAgain = this.#clock.after(pauseMs, () => this.#heard(revision));
      },
    );
  }

  /** Takes over what is newest in the store. */
  async #look(): Promise<void> {
    if (this.#store.editable === true) return this.#lookAtEdits();
    const newest = await this.#store.newest();
    if (newest === null) {
      if (this.#current.revision > 0) await this.#putBack();
      return;
    }
    if (newest.revision === this.#head && newest.publishedMs === this.#current.publishedMs) return;
    const head = (await this.#store.get(newest.revision)) ?? (await this.#store.head());
    if (head === null) return;
    await this.#readLine();
    if (head.revision < this.#head)
      this.#onEvent(
        `the newest revision is ${head.revision} and no more ${this.#head}: the store was set back, and its word counts`,
      );
    this.#take(revisionOf(head), null);
  }

  /** What people wrote is checked as what is published is; of what does not hold good the last before it counts. */
  async #lookAtEdits(): Promise<void> {
    const newest = await this.#store.newest();
    if (newest === null || newest.id === this.#headId) return;
    await this.#readLine();
    let refused: RefusedRevision | null = null;
    let note: RevisionNote | undefined = newest;
    // Down to the one in force; at a start, as far as somebody may look for the last good one.
    for (let tries = 0; note !== undefined && note.id !== this.#currentId && tries < MAX_EDITS; tries++) {
      try {
        await this.#takeEdit(note);
        break;
      } catch (thrown) {
        const error = toWeftError(thrown);
        if (error.code === "unavailable" || error.code === "deadline_exceeded") throw thrown;
        refused ??= { revision: note.revision, author: note.author, problem: error.message };
        if (error.reason === REWRITTEN) break;
        [note] = await this.#store.list(1, note.revision);
      }
    }
    this.#head = newest.revision;
    this.#headId = newest.id ?? "";
    this.#refused = refused;
    if (refused !== null) this.#onEvent(refusalText(refused, this.#current));
  }

  async #takeEdit(note: RevisionNote): Promise<void> {
    const stored = await this.#store.get(note.revision);
    if (stored === null) throw new WeftError("not_found", "it is not there any more");
    const checked = this.#check(stored.resources, `revision ${note.revision}`);
    const revision = revisionOf({ ...stored, resources: `[${checked.texts.join(",")}]` });
    this.#checkSettings(revision.settings);
    const current = this.#current;
    const same = revision.digest === current.digest && isSameSettings(revision.settings, current.settings);
    if (revision.revision !== current.revision) this.#take(revision, checked);
    else if (!same) throw rewritten(revision);
    this.#currentId = stored.id ?? "";
  }

  /** The store has lost everything: what is in force here goes on from there. */
  async #putBack(): Promise<void> {
    const lost = this.#current.revision;
    const first = { ...this.#current, revision: 1 };
    const made = await this.#store.append(storedOf(first));
    this.#head = 0;
    if (!made) return this.#look();
    this.#onEvent(
      `the store has lost all revisions; what revision ${lost} held, and is in force, is revision 1 there now`,
    );
    await this.#readLine();
    this.#take(first, this.resources);
  }

  async #readLine(): Promise<void> {
    const line = await this.#store.line();
    if (line !== this.#line) this.#encoded = null;
    this.#line = line;
  }

  #take(revision: LedgerRevision, resources: CurrentResources | null): void {
    this.#current = revision;
    this.#head = revision.revision;
    this.#refused = null;
    this.#encoded = null;
    this.#resources = resources === null ? null : { resources: resources.resources, texts: resources.texts };
    for (const listener of this.#listeners) listener(revision);
  }
}

interface Made extends CheckedResources {
  readonly settings: SettingsState;
}

const MAX_TRIES = 20;
const AGAIN_MS = 250;
const MAX_AGAIN_MS = 2_000;
const MAX_EDITS = 100;
const PAGE = 100;

function ignore(): void {}
