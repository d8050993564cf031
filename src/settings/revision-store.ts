/**
 * Where the ledger's revisions are kept: a line of immutable entries, each the whole state of the system. One interface for every driver; `revision-store.case.ts` is the contract suite that
 * each of them passes. KeyValueRevisions makes one of any KeyValue; Git is one of its own.
 */
export interface RevisionStore {
  /** People write to it in other ways, too: what comes from it is checked. Default false. */
  readonly editable?: boolean;
  /** The newest; null before the first. */
  head(): Promise<StoredRevision | null>;
  /** The same without what it holds, which is asked for before every publication. */
  newest(): Promise<RevisionNote | null>;
  /** Null: there is none, or it was dropped. */
  get(revision: number): Promise<StoredRevision | null>;
  /** Newest first, older than `before`; at most `limit`. */
  list(limit: number, before: number): Promise<readonly RevisionNote[]>;
  /** Adds the revision that follows the newest: `revision.revision` must be its number plus one. Resolves when it is durable; false: somebody else was first, and nothing was changed. */
  append(revision: StoredRevision): Promise<boolean>;
  /** Called with the newest number whenever it is another one, whoever appended it; with 0 when all were lost. Never from inside watch() or append(). */
  watch(listener: (revision: number) => void): { close(): void };
  /** What tells this line of revisions from others: kept with them, so the same for all who share the store, and another one where all were lost and they begin anew. "": there is none yet. */
  line(): Promise<string>;
  /** Names of revisions that people gave: name -> revision. */
  tags(): Promise<Readonly<Record<string, number>>>;
  /** Names a revision; 0 takes the name away. A name that is taken moves. */
  tag(name: string, revision: number): Promise<void>;
  /** Drops all but the newest `keep` and those with tags. Returns how many were dropped. */
  retain(keep: number): Promise<number>;
  close(): Promise<void>;
}

/** What is said of a revision without its contents. */
export interface RevisionNote {
  /** From 1, without gaps. */
  readonly revision: number;
  readonly author: string;
  readonly reason: string;
  /** Milliseconds since the Unix epoch. */
  readonly publishedMs: number;
  /** What it changed, for people: "HTTPRoute shop", "settings orders/maxItems". At most 50. */
  readonly changes: readonly string[];
  /** Of stores whose entries can be rewritten (Git): another one when that happened. */
  readonly id?: string;
}

/** A revision with its contents. */
export interface StoredRevision extends RevisionNote {
  /** A JSON array of resources. */
  readonly resources: string;
  /** A SettingsState as JSON (settings-state.ts). */
  readonly settings: string;
}
