import { WeftError } from "../../core/errors.ts";
import type { ConsulClient } from "./consul-client.ts";
import { denied } from "./consul-error.ts";

/** What Consul's store has under one key. */
export interface KvItem {
  /** Within the space. */
  readonly key: string;
  readonly value: Uint8Array;
  /** Of the write that made it, and of the newest one: places in the log of Consul's servers, which only grow while they keep their data. */
  readonly createIndex: number;
  readonly index: number;
}

export interface KvListing {
  readonly items: readonly KvItem[];
  /** Of the newest change of any of them, also of one that deleted. */
  readonly index: number;
  readonly filtered: boolean;
}

export type KvOperation =
  /** `flags`: a number beside the value. To write what is there already changes no index. */
  | { readonly verb: "set"; readonly key: string; readonly value: Uint8Array; readonly flags?: number }
  /** `index` 0: only where there is none. */
  | {
      readonly verb: "cas";
      readonly key: string;
      readonly value: Uint8Array;
      readonly index: number;
      readonly flags?: number;
    }
  | { readonly verb: "delete"; readonly key: string }
  | { readonly verb: "check-index"; readonly key: string; readonly index: number }
  | { readonly verb: "check-not-exists"; readonly key: string }
  | { readonly verb: "get-or-empty"; readonly key: string };

/** The keys of Consul's store below a prefix. */
export class KvSpace {
  readonly #client: ConsulClient;
  readonly #prefix: string;

  /** `prefix`: without slashes at its ends. */
  constructor(client: ConsulClient, prefix: string) {
    this.#client = client;
    this.#prefix = `${prefix}/`;
  }

  /** For messages. */
  get prefix(): string {
    return this.#prefix;
  }

  /** All or nothing. The items that were read or written, without those deleted or compared; or null: a comparison did not hold, and nothing was changed. */
  async transact(operations: readonly KvOperation[], timeoutMs?: number): Promise<readonly KvItem[] | null> {
    const body = operations.map((operation) => {
      const { verb, key } = operation;
      const value = "value" in operation ? { Value: toBase64(operation.value), Flags: operation.flags ?? 0 } : {};
      const index = "index" in operation ? { Index: operation.index } : {};
      return { KV: { Verb: verb, Key: this.#prefix + key, ...value, ...index } };
    });
    // Of what writes, Consul ignores it: that is linearizable anyway.
    const { status, body: answer } = await this.#client.request({
      method: "PUT",
      path: "/v1/txn",
      query: { consistent: "" },
      body,
      timeoutMs,
    });
    if (status === 200) {
      const results = arrayOf(objectOf(answer).Results);
      // What is put is answered; what is deleted is not.
      if (results.length < operations.filter(({ verb }) => verb === "set" || verb === "cas").length)
        throw strange("fewer results than were asked for");
      return results.map((result) => this.#item(objectOf(result).KV));
    }
    const problems = arrayOf(objectOf(answer).Errors).map((problem) => String(objectOf(problem).What));
    const refused = problems.find((what) => /permission denied|ACL not found/i.test(what));
    if (refused !== undefined) throw denied(this.#client.name, refused, this.#client.target.token !== "");
    if (status === 409 && problems.length > 0 && problems.every((what) => COMPARED.test(what))) return null;
    const shown = (problems[0] ?? `status ${status}`).replace(/[^\x20-\x7e]+/g, " ").slice(0, 200);
    throw new WeftError("failed_precondition", `${this.#client.name} refuses a transaction: ${shown}`, {
      reason: "CONSUL_REFUSES",
    });
  }

  /** Everything below a path ("": the whole space), as of one moment that is not before the call. */
  async list(path = "", timeoutMs?: number): Promise<KvListing> {
    const query = { recurse: "", consistent: "" };
    const { status, index, filtered, body } = await this.#client.request({
      path: this.#pathOf(path),
      query,
      timeoutMs,
    });
    return { items: status === 404 ? [] : arrayOf(body).map((item) => this.#item(item)), index, filtered };
  }

  async keys(path: string): Promise<readonly string[]> {
    const query = { keys: "", consistent: "" };
    const { status, body } = await this.#client.request({ path: this.#pathOf(path), query });
    return status === 404 ? [] : arrayOf(body).map((key) => this.#within(key));
  }

  /**
   * The index of everything whose key begins with a path ("": of the whole space). With `after`, waits until it is another one, or for so long; without, it is one that is not before the
   * call. The answer is small however much there is.
   */
  async index(path: string, after: number, waitMs: number): Promise<number> {
    const wait: Record<string, string> =
      after === 0 ? { consistent: "" } : { index: String(after), wait: `${waitMs}ms` };
    const query = { keys: "", separator: "/", ...wait };
    // Consul waits a sixteenth longer, at random.
    const timeoutMs = SLOW_MS + (after === 0 ? 0 : waitMs * 1.0625);
    return (await this.#client.request({ path: this.#pathOf(path), query, timeoutMs })).index;
  }

  #pathOf(path: string): string {
    return `/v1/kv/${(this.#prefix + path).split("/").map(encodeURIComponent).join("/")}`;
  }

  #item(given: unknown): KvItem {
    const { Key, Value, CreateIndex, ModifyIndex } = objectOf(given);
    return {
      key: this.#within(Key),
      // Most of a listing is known already, and not looked at.
      get value() {
        return typeof Value === "string" ? Buffer.from(Value, "base64") : EMPTY;
      },
      createIndex: numberOf(CreateIndex),
      index: numberOf(ModifyIndex),
    };
  }

  #within(key: unknown): string {
    if (typeof key !== "string" || !key.startsWith(this.#prefix)) throw strange("a key that was not asked for");
    return key.slice(this.#prefix.length);
  }
}

/** By the rules of blocking queries: an index that went backwards is of other data, and nothing is waited for then. */
export function nextIndex(before: number, now: number): number {
  return now < before ? 0 : now;
}

export function arrayOf(value: unknown): readonly unknown[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw strange("no list where one belongs");
  return value;
}

export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw strange("no object where one belongs");
  return value as Readonly<Record<string, unknown>>;
}

export function numberOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw strange("no number where one belongs");
  return value;
}

function strange(what: string): WeftError {
  return new WeftError("failed_precondition", `Consul's answer has ${what}; is this Consul's HTTP API?`, {
    reason: "CONSUL_STRANGE",
  });
}

function toBase64(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
}

const EMPTY = new Uint8Array(0);
/** Longer than an answer takes that nothing holds up. */
const SLOW_MS = 2_000;
const COMPARED = /failed index check|index is stale|doesn't exist|does not exist|exists/;
