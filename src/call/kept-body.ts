import type { HttpStream } from "../wire/stream.ts";
import { copyBytes } from "./copy-bytes.ts";

/**
 * Request body bytes kept so that an attempt that has no stream yet, or a later attempt, can be sent them from the start.
 * Small pieces are carved out of a slab that the carrier's calls share, so that keeping a unary call's message costs one short copy.
 */
export class KeptBody {
  #bytes = 0;
  // The first piece lies in fields: a unary call has no other.
  #first: Uint8Array | null = null;
  #start = 0;
  #end = 0;
  #more: Uint8Array[] | null = null;

  /** Bytes kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Copies bytes [start, end) of `chunk`. */
  append(chunk: Uint8Array, start: number, end: number, slab: Slab): void {
    const length = end - start;
    if (length === 0) return;
    this.#bytes += length;
    if (this.#first === null) {
      if (length > MAX_CARVED) {
        this.#first = copyBytes(chunk, start, end);
        this.#start = 0;
      } else {
        this.#start = slab.carve(chunk, start, end);
        this.#first = slab.bytes;
      }
      this.#end = this.#start + length;
    } else (this.#more ??= []).push(copyBytes(chunk, start, end));
  }

  /** Sends everything kept; `fin` ends the request with it. What sendData said last. Bytes must be kept when it is called with `fin`. */
  sendTo(stream: HttpStream, fin: boolean): boolean {
    if (this.#first === null) return true;
    const more = this.#more;
    if (more === null) return stream.sendData(this.#first, this.#start, this.#end, fin);
    stream.sendData(this.#first, this.#start, this.#end, false);
    for (let i = 0; i < more.length - 1; i++) stream.sendData(more[i], 0, more[i].length, false);
    const last = more[more.length - 1];
    return stream.sendData(last, 0, last.length, fin);
  }
}

/** Where small pieces lie. A full slab is left to the calls that still use it and replaced. */
export class Slab {
  bytes = new Uint8Array(SLAB_BYTES);
  #at = 0;

  /** Copies bytes [start, end), at most MAX_CARVED, into `bytes` (read it afterwards); returns where they begin. */
  carve(chunk: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (this.#at + length > SLAB_BYTES) {
      this.bytes = new Uint8Array(SLAB_BYTES);
      this.#at = 0;
    }
    const at = this.#at;
    const bytes = this.bytes;
    // Below some 64 bytes a loop beats the native copy and the view that it needs.
    if (length <= 64) for (let i = 0; i < length; i++) bytes[at + i] = chunk[start + i];
    else bytes.set(chunk.subarray(start, end), at);
    this.#at = at + length;
    return at;
  }
}

const SLAB_BYTES = 65_536;
const MAX_CARVED = 8_192;
