import type { Head } from "../wire/head.ts";
import { copyBytes } from "./copy-bytes.ts";

/**
 * A response's body on its way at so many bytes a second: what came too early waits here. The upstream sends no more than its window meanwhile, since
 * nothing of it is credited before it goes on. Bytes go in slices of 50 ms (Envoy's StreamRateLimiter); a slice that is late is made up for, not more.
 *
 *     T1. In any time T at most bytesPerSecond x (T + 0.1 s) bytes go on, and none is lost, doubled or out of order.
 */
export class ThrottledBody {
  readonly #bytesPerMs: number;
  readonly #pieces: Uint8Array[] = [];
  /** Bytes of the first piece that have gone. */
  #gone = 0;
  #tokens: number;
  #filledAt: number;
  /** The last byte is here. */
  fin = false;
  trailers: Head | null = null;

  constructor(bytesPerSecond: number, now: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#tokens = Math.max(1, this.#bytesPerMs * SLICE_MS);
    this.#filledAt = now;
  }

  /** Nothing waits. */
  get empty(): boolean {
    return this.#pieces.length === 0;
  }

  add(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (end > start) this.#pieces.push(copyBytes(chunk, start, end));
    this.fin ||= fin;
  }

  /** What may go now; null when nothing may. */
  take(now: number): Uint8Array | null {
    if (this.#pieces.length === 0) return null;
    const most = Math.max(1, this.#bytesPerMs * SLICE_MS * 2);
    this.#tokens = Math.min(most, this.#tokens + Math.max(0, now - this.#filledAt) * this.#bytesPerMs);
    this.#filledAt = now;
    const first = this.#pieces[0];
    const bytes = Math.min(Math.floor(this.#tokens), first.length - this.#gone);
    if (bytes <= 0) return null;
    this.#tokens -= bytes;
    const taken = first.subarray(this.#gone, this.#gone + bytes);
    this.#gone += bytes;
    if (this.#gone === first.length) {
      this.#pieces.shift();
      this.#gone = 0;
    }
    return taken;
  }
}

export const SLICE_MS = 50;
