import type { Client } from "pg";
import type { Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import type { BackendChange, BackendEvents, EndpointBackend, KeptEntry } from "../../registry/endpoint-backend.ts";
import { decodeEndpointEntry, type EndpointEntry, encodeEndpointEntry } from "../../registry/endpoint-value.ts";
import { PlaneSigns } from "../../registry/plane-signs.ts";
import { UnusableEntries } from "../../registry/unusable-entries.ts";
import type { PostgresClient } from "./postgres-client.ts";
import { PostgresFeed } from "./postgres-feed.ts";

export interface PostgresBackendOptions {
  client: PostgresClient;
  system: string;
  clock: Clock;
  random: Random;
}

/** Endpoints in tables of PostgreSQL (postgres-tables.ts): changes come by NOTIFY, and by looking twice a second. Closes its client. */
export class PostgresBackend implements EndpointBackend {
  readonly name: string;
  readonly #options: PostgresBackendOptions;
  readonly #feed: PostgresFeed;
  #events: BackendEvents | null = null;
  #plane = "";
  readonly #signs = new PlaneSigns<number>(PLANE_DEAD_MS);
  readonly #entries = new Map<string, Row>();
  /** How many entries name it. */
  readonly #planes = new Map<string, number>();
  #dead: ReadonlySet<string> = new Set();
  #gap = true;
  /** What is there now are other data than those that were told. */
  #lost = false;
  #epoch = "";
  #known = 0;
  #lookedAt: number;
  #beatAt = Number.NEGATIVE_INFINITY;
  #sweptAt: number;
  readonly #unusable = new UnusableEntries((error) => this.#events?.unusable(error));
  #changes: Change[] = [];
  #sending = 0;
  #closed = false;

  constructor(options: PostgresBackendOptions) {
    const { client, system, clock, random } = options;
    this.name = client.name;
    this.#options = options;
    this.#lookedAt = this.#sweptAt = clock.now();
    this.#feed = new PostgresFeed({
      client,
      clock,
      random,
      topic: `endpoints ${system}`,
      onConnected: async (connection) => {
        this.#beatAt = Number.NEGATIVE_INFINITY;
        await connection.query(`SELECT ${client.schema}.lock_head($1)`, [system]);
      },
      look: (connection) => this.#look(connection),
      onLost: (error) => {
        client.renew();
        this.#events?.lost(error);
      },
    });
  }

  follow(plane: string, events: BackendEvents): Promise<void> {
    this.#plane = plane;
    this.#events = events;
    return this.#feed.start();
  }

  async replace(entry: EndpointEntry, expected: number): Promise<number | null> {
    const { id } = entry.endpoint;
    const value = Buffer.from(encodeEndpointEntry(entry)).toString();
    return this.#change({ id, owner: entry.owner, expected, value });
  }

  async remove(id: string, owner: string): Promise<void> {
    await this.#change({ id, owner });
  }

  async get(id: string): Promise<KeptEntry | null> {
    const { client, system } = this.#options;
    const text = `SELECT id, version, value FROM ${client.schema}.endpoint WHERE system = $1 AND id = $2 AND value IS NOT NULL`;
    const [row] = await client.query<Raw>(text, [system, id]);
    const read = row === undefined ? null : this.#read(row);
    return read === null ? null : this.#kept(read);
  }

  async read(): Promise<readonly KeptEntry[]> {
    const { client, system } = this.#options;
    const text = `SELECT id, version, value FROM ${client.schema}.endpoint WHERE system = $1 AND value IS NOT NULL`;
    const rows = await client.query<Raw>(text, [system]);
    return rows.flatMap((row) => this.#read(row) ?? []).map((row) => this.#kept(row));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#events = null;
    this.#feed.close();
    const { client, system } = this.#options;
    // Others need not find out by themselves.
    const text = `UPDATE ${client.schema}.plane SET beat = -1 WHERE system = $1 AND plane = $2`;
    if (this.#epoch !== "") await client.query(text, [system, this.#plane]).catch(() => {});
    await client.close();
  }

  async #look(connection: Client): Promise<void> {
    const { client, clock, system } = this.#options;
    const { schema } = client;
    const began = clock.now();
    if (began - this.#beatAt >= BEAT_MS) {
      const beat = `INSERT INTO ${schema}.plane AS p (system, plane, beat) VALUES ($1, $2, 1) ON CONFLICT (system, plane) DO UPDATE SET beat = p.beat + 1`;
      await connection.query(beat, [system, this.#plane]);
      this.#beatAt = began;
    }
    const text = `SELECT h.epoch, h.version, h.floor, p.planes, c.changes FROM ${schema}.head h,
      LATERAL (SELECT coalesce(json_object_agg(plane, beat), '{}') AS planes FROM ${schema}.plane WHERE system = $1) p,
      LATERAL (SELECT coalesce(json_agg(json_build_object('id', id, 'version', version, 'owner', owner, 'value', value)), '[]') AS changes FROM
        (SELECT id, version, owner, value FROM ${schema}.endpoint WHERE system = $1 AND version > $2 ORDER BY version LIMIT ${PAGE}) e) c
      WHERE h.system = $1`;
    const changed: Raw[] = [];
    let since = this.#gap ? 0 : this.#known;
    let planes: Record<string, number> = {};
    for (let more = true; more; ) {
      const { rows } = await connection.query(text, [system, since]);
      const head = rows[0];
      if (head === undefined)
        throw new WeftError("unavailable", `${this.name} has lost its data`, { reason: "DATA_LOST" });
      if (
        !this.#gap &&
        (head.epoch !== this.#epoch || Number(head.version) < this.#known || Number(head.floor) > since)
      ) {
        this.#gap = true;
        return this.#look(connection);
      }
      this.#lost ||= this.#epoch !== "" && head.epoch !== this.#epoch;
      this.#epoch = head.epoch;
      planes = head.planes;
      changed.push(...head.changes);
      more = head.changes.length === PAGE;
      // Without more, all that was counted is known: what was removed and is forgotten, too.
      since = more ? head.changes.at(-1).version : Number(head.version);
    }
    if (this.#closed) return;
    this.#known = since;
    this.#take(changed, planes);
    await this.#sweep(connection, planes);
  }

  /** What has changed, or (after a gap) all there is. */
  #take(changed: readonly Raw[], beats: Record<string, number>): void {
    const now = this.#options.clock.now();
    if (this.#gap) {
      this.#entries.clear();
      this.#planes.clear();
    }
    const changes: BackendChange[] = [];
    for (const raw of changed) {
      const { id, version } = raw;
      const row = raw.value === null ? null : this.#read(raw);
      this.#file(id, row);
      if (row === null) changes.push({ kind: "removed", id, orphaned: false, version, owner: raw.owner });
    }
    // It, or the server, stood still: nobody can have been heard.
    if (now - this.#lookedAt > GAP_MS) this.#signs.outOfTouch(now);
    this.#lookedAt = now;
    for (const [plane, beat] of Object.entries(beats))
      if (beat < 0) this.#signs.ended(plane, now);
      else this.#signs.seen(plane, beat, now);
    for (const plane of this.#planes.keys()) this.#signs.named(plane, now);
    this.#signs.advance(now);
    const before = this.#dead;
    const isDead = (plane: string): boolean => plane !== this.#plane && this.#signs.isDead(plane);
    this.#dead = new Set([...this.#planes.keys()].filter(isDead));
    const others = new Set([...before, ...this.#dead].filter((plane) => before.has(plane) !== this.#dead.has(plane)));
    if (this.#gap) {
      this.#gap = false;
      const lost = this.#lost;
      this.#lost = false;
      this.#events?.whole(
        Array.from(this.#entries.values(), (row) => this.#kept(row)),
        lost,
      );
      return;
    }
    const told = new Set<string>();
    for (const { id } of changed) {
      const row = this.#entries.get(id);
      if (row === undefined) continue;
      changes.push({ kind: "put", ...this.#kept(row) });
      told.add(id);
    }
    if (others.size > 0) {
      for (const [id, row] of this.#entries)
        if (others.has(row.entry.plane) && !told.has(id)) changes.push({ kind: "put", ...this.#kept(row) });
    }
    if (changes.length > 0) this.#events?.changed(changes);
    this.#events?.confirmed();
  }

  /** From time to time somebody forgets what nobody needs. */
  async #sweep(connection: Client, beats: Record<string, number>): Promise<void> {
    const { client, clock, system } = this.#options;
    const now = clock.now();
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    await connection.query(`SELECT ${client.schema}.forget_removed($1, '10 minutes')`, [system]);
    const text = `DELETE FROM ${client.schema}.plane WHERE system = $1 AND plane = $2 AND beat = $3`;
    for (const [plane, beat] of Object.entries(beats)) {
      if (plane === this.#plane || this.#planes.has(plane) || !this.#signs.isDead(plane)) continue;
      await connection.query(text, [system, plane, beat]);
      this.#signs.forget(plane);
    }
  }

  #file(id: string, row: Row | null): void {
    const old = this.#entries.get(id)?.entry.plane;
    if (old !== undefined) {
      const left = (this.#planes.get(old) ?? 1) - 1;
      if (left === 0) this.#planes.delete(old);
      else this.#planes.set(old, left);
    }
    if (row === null) {
      this.#entries.delete(id);
      return;
    }
    this.#entries.set(id, row);
    this.#planes.set(row.entry.plane, (this.#planes.get(row.entry.plane) ?? 0) + 1);
  }

  #kept({ entry, version }: Row): KeptEntry {
    return this.#dead.has(entry.plane) ? { entry, version, orphaned: true } : { entry, version };
  }

  /** Null for what is no endpoint of that id, which is told once. */
  #read({ id, version, value }: Raw): Row | null {
    try {
      const entry = decodeEndpointEntry(Buffer.from(value ?? ""));
      if (entry.endpoint.id !== id) throw new Error(`it is of ${JSON.stringify(entry.endpoint.id)}`);
      return { entry, version: Number(version) };
    } catch (cause) {
      this.#unusable.found(this.name, id, Number(version), (cause as Error).message, cause);
      return null;
    }
  }

  /** With others that come at the same time, in one transaction: each waits for the head's lock and for the disk. */
  #change(change: Omit<Change, "askedAt" | "resolve" | "reject">): Promise<number | null> {
    return new Promise((resolve, reject) => {
      this.#changes.push({ ...change, askedAt: this.#options.clock.now(), resolve, reject });
      if (this.#sending < MAX_SENDING) queueMicrotask(() => void this.#send());
    });
  }

  async #send(): Promise<void> {
    if (this.#sending >= MAX_SENDING || this.#changes.length === 0) return;
    this.#sending++;
    const { client, clock, system } = this.#options;
    const batch = this.#changes.splice(0, BATCH);
    const late = clock.now() - WAIT_MS;
    const sent = batch.filter(({ askedAt }) => askedAt >= late);
    for (const { askedAt, reject } of batch)
      if (askedAt < late)
        reject(new WeftError("unavailable", `${this.name} is slow`, { reason: "POSTGRES_SLOW", retryable: true }));
    try {
      const changes = sent.map(({ id, owner, expected, value }, number) => ({ number, id, owner, expected, value }));
      const text = `SELECT change_number, made_version FROM ${client.schema}.change_endpoints($1, $2)`;
      const rows = await client.query<Answer>(text, [system, JSON.stringify(changes)]);
      for (const { change_number, made_version } of rows)
        sent[change_number].resolve(made_version === null ? null : Number(made_version));
    } catch (thrown) {
      for (const { reject } of sent) reject(toWeftError(thrown));
    } finally {
      this.#sending--;
      void this.#send();
    }
  }
}

/** As the server says it: `version` is text, or a number where it comes as JSON. */
interface Raw {
  readonly id: string;
  readonly version: number;
  readonly value: string | null;
  readonly owner?: string;
}

interface Row {
  readonly entry: EndpointEntry;
  readonly version: number;
}

interface Answer {
  readonly change_number: number;
  readonly made_version: string | null;
}

/** Without a value: the entry of that owner goes. */
interface Change {
  readonly id: string;
  readonly owner: string;
  readonly expected?: number;
  readonly value?: string;
  readonly askedAt: number;
  readonly resolve: (version: number | null) => void;
  readonly reject: (error: WeftError) => void;
}

const BEAT_MS = 1_000;
/** Several beats, and the time of a reconnection. */
const PLANE_DEAD_MS = 6_000;
/** Looks that are further apart tell of who stood still. */
const GAP_MS = 2_000;
const SWEEP_MS = 60_000;
const PAGE = 2_000;
const BATCH = 256;
const MAX_SENDING = 2;
const WAIT_MS = 4_000;
