import type { BodyStore } from "../call.ts";
import type { CacheStore, Fetch } from "./cache-store.ts";
import { headBytes, type StoredHead, StoredResponse } from "./stored-response.ts";

/** Takes a response's body in while it is delivered. Gives up, without a trace, what outgrows the entry's or the store's limit, or is incomplete. */
export class CacheWriter implements BodyStore {
  readonly #store: CacheStore;
  #head: StoredHead;
  readonly #maxEntryBytes: number;
  readonly #fetch: Fetch | null;
  readonly #declared: number;
  readonly #pieces: Uint8Array[] = [];
  #length = 0;
  #reserved = 0;
  #done = false;

  constructor(store: CacheStore, head: StoredHead, maxEntryBytes: number, fetch: Fetch | null, declared: number) {
    this.#store = store;
    this.#head = head;
    this.#maxEntryBytes = maxEntryBytes;
    this.#fetch = fetch;
    this.#declared = declared;
  }

  head(status: number, has: (name: string) => boolean, add: readonly string[]): void {
    const { fields } = this.#head;
    const kept: string[] = [];
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] === "date" || has(fields[i])) kept.push(fields[i], fields[i + 1]);
    }
    this.#head = { ...this.#head, status, fields: [...kept, ...add] };
  }

  data(chunk: Uint8Array, start: number, end: number): void {
    if (this.#done) return;
    const bytes = end - start;
    if (this.#length + bytes > this.#maxEntryBytes || !this.#store.reserve(bytes, this.#reserved)) {
      this.#giveUp("unshared"); // the next one would be as large
      return;
    }
    this.#reserved += bytes;
    this.#length += bytes;
    const copy = new Uint8Array(bytes);
    copy.set(chunk.subarray(start, end));
    this.#pieces.push(copy);
  }

  end(): void {
    if (this.#done) return;
    const head = headBytes(this.#head);
    const whole = this.#declared < 0 || this.#declared === this.#length;
    if (!whole || head + this.#length > this.#maxEntryBytes || !this.#store.reserve(head, this.#reserved)) {
      this.#giveUp(whole ? "unshared" : "gone");
      return;
    }
    this.#done = true;
    this.#store.counts.stored++;
    this.#store.add(new StoredResponse(this.#head, joinedPieces(this.#pieces, this.#length)));
    this.#fetch?.settle("shared", this.#store);
  }

  abort(): void {
    if (!this.#done) this.#giveUp("gone");
  }

  #giveUp(outcome: "unshared" | "gone"): void {
    this.#done = true;
    this.#store.release(this.#reserved);
    this.#pieces.length = 0;
    this.#fetch?.settle(outcome, this.#store);
  }
}

function joinedPieces(pieces: readonly Uint8Array[], length: number): Uint8Array {
  if (pieces.length === 1) return pieces[0];
  const body = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.length;
  }
  return body;
}
