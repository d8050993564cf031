import type { Http2Stream } from "./http2-stream.ts";

/**
 * The open streams of a connection by id. Ids only grow and most streams are short, so a ring indexed by the id holds nearly all of them;
 * one that outlives a turn of the ring moves to a map when its place is needed. (A Map for all took 150 ns a call.)
 */
export class StreamTable {
  size = 0;
  #ring: (Http2Stream | null)[] = EMPTY;
  #mask = -1;
  #old: Map<number, Http2Stream> | null = null;

  get(id: number): Http2Stream | null {
    if (this.size === 0) return null;
    const stream = this.#ring[(id >>> 1) & this.#mask];
    if (stream !== null && stream.id === id) return stream;
    return this.#old?.get(id) ?? null;
  }

  add(stream: Http2Stream): void {
    if (this.#mask < this.size) this.#grow();
    const slot = (stream.id >>> 1) & this.#mask;
    const older = this.#ring[slot];
    if (older !== null) (this.#old ??= new Map()).set(older.id, older);
    this.#ring[slot] = stream;
    this.size++;
  }

  delete(stream: Http2Stream): void {
    const slot = (stream.id >>> 1) & this.#mask;
    if (this.#ring[slot] === stream) this.#ring[slot] = null;
    else if (!this.#old?.delete(stream.id)) return;
    this.size--;
  }

  /** All of them, in a new array. */
  list(): Http2Stream[] {
    const streams = this.#old === null ? [] : [...this.#old.values()];
    for (const stream of this.#ring) if (stream !== null) streams.push(stream);
    return streams;
  }

  /** Lets an idle connection go without a ring. */
  shrink(): void {
    if (this.size > 0) return;
    this.#ring = EMPTY;
    this.#mask = -1;
    this.#old = null;
  }

  #grow(): void {
    const streams = this.list();
    const length = Math.max(16, this.#ring.length * 2);
    this.#ring = new Array(length).fill(null);
    this.#mask = length - 1;
    this.#old = null;
    this.size = 0;
    for (const stream of streams) this.add(stream);
  }
}

const EMPTY: (Http2Stream | null)[] = [];
