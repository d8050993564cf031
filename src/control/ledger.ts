import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import { codecOf } from "../contract/codec.ts";
import { ResourceSetSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { SqliteThread } from "../core/sqlite/sqlite-thread.ts";
import type { Resource } from "../policy/resource/resources.ts";

/** One entry of the ledger. Immutable. */
export interface LedgerRevision {
  readonly revision: number;
  readonly author: string;
  readonly reason: string;
  /** Milliseconds since the Unix epoch. */
  readonly publishedMs: number;
  /** SHA-256 of `resources`. */
  readonly digest: string;
  /** A JSON array; "" in lists. */
  readonly resources: string;
}

export interface Publication {
  /** YAML or JSON. */
  readonly text: string;
  /** Where it comes from, for error messages. */
  readonly source: string;
  readonly author: string;
  readonly reason: string;
  /** The revision that must be the current one; undefined: whatever it is. */
  readonly expected?: number;
  readonly validateOnly?: boolean;
}

export interface CheckedResources {
  readonly resources: readonly Resource[];
  /** Each of them as JSON. */
  readonly texts: readonly string[];
  /** What is most likely not meant, a line each. */
  readonly warnings: readonly string[];
}

/** The revision that is current now, and what is doubtful about its resources. */
export interface Published extends LedgerRevision {
  readonly warnings: readonly string[];
}

/** The resources of the current revision, and each of them as JSON. */
export interface CurrentResources {
  readonly resources: readonly Resource[];
  readonly texts: readonly string[];
}

/** Parses and checks a whole set; throws `invalid_argument` that says everything that is wrong. */
export type ResourceCheck = (text: string, source: string) => CheckedResources;

/**
 * The system's resources, revision by revision: only ever appended to, so that a roll-back is a new entry that holds what an old one held. A revision
 * is checked whole before it is accepted, and durable before anybody is told.
 */
export class Ledger {
  readonly #database: SqliteThread;
  readonly #check: ResourceCheck;
  readonly #clock: Clock;
  readonly #listeners = new Set<(revision: LedgerRevision) => void>();
  #current: LedgerRevision = NOTHING;
  #encoded: Uint8Array | null = null;
  /** Of `#current`, each as JSON too; null before they are needed. */
  #resources: CurrentResources | null = { resources: [], texts: [] };
  /** Publications are made one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(database: SqliteThread, check: ResourceCheck, clock: Clock) {
    this.#database = database;
    this.#check = check;
    this.#clock = clock;
  }

  static async open(database: SqliteThread, check: ResourceCheck, clock: Clock): Promise<Ledger> {
    const ledger = new Ledger(database, check, clock);
    const [row] = await database.read("SELECT * FROM revision ORDER BY revision DESC LIMIT 1");
    if (row !== undefined) ledger.#take(await revisionOf(row), null);
    return ledger;
  }

  /** The newest revision; 0, without resources, when nothing was ever published. */
  get current(): LedgerRevision {
    return this.#current;
  }

  /** `current` as an encoded ResourceSet, made when it is first asked for. */
  get encoded(): Uint8Array {
    return (this.#encoded ??= encode(this.#current));
  }

  /** What `current` holds. */
  get resources(): CurrentResources {
    if (this.#resources === null) {
      const resources = JSON.parse(this.#current.resources) as Resource[];
      this.#resources = { resources, texts: resources.map((resource) => JSON.stringify(resource)) };
    }
    return this.#resources;
  }

  onChange(listener: (revision: LedgerRevision) => void): void {
    this.#listeners.add(listener);
  }

  /** Throws `invalid_argument` (what is wrong with the resources) and `aborted` (STALE_REVISION). Publishing what is current already changes nothing. */
  publish(publication: Publication): Promise<Published> {
    const published = this.#last.then(() => this.#publish(publication));
    this.#last = published.catch(ignore);
    return published;
  }

  /** Throws `not_found`. */
  async rollback(revision: number, author: string, reason: string): Promise<Published> {
    const { resources } = await this.get(revision);
    return this.publish({
      text: resources,
      source: `revision ${revision}`,
      author,
      reason: reason === "" ? `rollback to revision ${revision}` : reason,
    });
  }

  /** 0 is the current one. Throws `not_found`. */
  async get(revision: number): Promise<LedgerRevision> {
    if (revision === 0 || revision === this.#current.revision) return this.#current;
    const [row] = await this.#database.read("SELECT * FROM revision WHERE revision = ?", [revision]);
    if (row !== undefined) return revisionOf(row);
    throw new WeftError("not_found", `there is no revision ${revision}; the newest is ${this.#current.revision}`, {
      reason: "UNKNOWN_REVISION",
    });
  }

  /** Newest first, older than `before`, without their resources. */
  async list(limit: number, before: number): Promise<LedgerRevision[]> {
    const rows = await this.#database.read(
      "SELECT revision, author, reason, published_ms, digest, '' AS resources FROM revision WHERE revision < ? ORDER BY revision DESC LIMIT ?",
      [before, limit],
    );
    return Promise.all(rows.map(revisionOf));
  }

  async #publish(publication: Publication): Promise<Published> {
    const { text, source, author, reason, expected, validateOnly } = publication;
    if (expected !== undefined && expected !== this.#current.revision) {
      throw new WeftError(
        "aborted",
        `revision ${expected} is not the current one: ${this.#current.revision} was published by ${this.#current.author || "nobody"} ` +
          `(${this.#current.reason || "no reason given"}); look at what changed and publish again`,
        { reason: "STALE_REVISION" },
      );
    }
    for (const [field, value] of Object.entries({ author, reason, source })) {
      if (value.length <= MAX_NOTE_LENGTH) continue;
      throw new WeftError(
        "invalid_argument",
        `${field} has ${value.length} characters; at most ${MAX_NOTE_LENGTH} are kept`,
        {
          reason: "TOO_LONG",
          place: { field },
        },
      );
    }
    const checked = this.#check(text, source);
    const { warnings } = checked;
    const { texts } = checked;
    const resources = `[${texts.join(",")}]`;
    const digest = createHash("sha256").update(resources).digest("hex");
    const next: LedgerRevision = {
      revision: this.#current.revision + 1,
      author,
      reason,
      publishedMs: this.#clock.wallMs(),
      digest,
      resources,
    };
    if (validateOnly) return { ...next, revision: this.#current.revision, warnings };
    if (digest === this.#current.digest) return { ...this.#current, warnings };
    const packed = resources.length < PACKED_FROM ? null : await pack(resources);
    await this.#database.write([
      {
        sql: "INSERT INTO revision (revision, author, reason, published_ms, digest, resources, packed) VALUES (?, ?, ?, ?, ?, ?, ?)",
        parameters: [next.revision, author, reason, next.publishedMs, digest, packed === null ? resources : "", packed],
      },
    ]);
    this.#take(next, { resources: checked.resources, texts });
    for (const listener of this.#listeners) listener(next);
    return { ...next, warnings };
  }

  #take(revision: LedgerRevision, resources: CurrentResources | null): void {
    this.#current = revision;
    this.#encoded = null;
    this.#resources = resources;
  }
}

const NOTHING: LedgerRevision = { revision: 0, author: "", reason: "", publishedMs: 0, digest: "", resources: "[]" };
const MAX_NOTE_LENGTH = 1_000;
/** Characters from which on compressing is worth a column of its own. */
const PACKED_FROM = 4_096;
const pack = promisify(zstdCompress);
const unpack = promisify(zstdDecompress);

function encode({ revision, resources }: LedgerRevision): Uint8Array {
  return codecOf(ResourceSetSchema).encode({ revision: BigInt(revision), json: resources });
}

async function revisionOf(row: Record<string, unknown>): Promise<LedgerRevision> {
  const { packed = null } = row;
  const resources = packed === null ? String(row.resources) : String(await unpack(packed as Uint8Array));
  return {
    revision: Number(row.revision),
    author: String(row.author),
    reason: String(row.reason),
    publishedMs: Number(row.published_ms),
    digest: String(row.digest),
    resources,
  };
}

function ignore(): void {}
