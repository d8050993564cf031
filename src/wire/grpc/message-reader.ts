import { giveBack, takeBlock } from "../../core/block-pool.ts";
import { WeftError } from "../../core/errors.ts";
import { PREFIX_BYTES } from "./message-prefix.ts";

/** Hears complete gRPC messages. */
export interface MessageSink {
  /** Bytes [start, end) are one message's payload, valid during the call. */
  onMessage(bytes: Uint8Array, start: number, end: number, compressed: boolean): void;
}

/**
 * Takes a gRPC body apart into its length-prefixed messages. What lies whole in a chunk is handed on in place; what does not is
 * gathered, in a block that grows with what has come, never with what the prefix claims.
 *
 *     | flag: 1 | length: 4, big endian | payload ... |      source: gRPC over HTTP/2, "Length-Prefixed-Message"
 *
 *     between messages --a whole one in the chunk--> onMessage in place --> between messages
 *                      --cut off--> gathering --complete--> onMessage from the buffer --> between messages
 *
 * 1. Any split of the body into chunks gives the same messages.
 */
export class MessageReader {
  readonly #maxBytes: number;
  #partial: Buffer = NOTHING;
  /** Bytes of `#partial` in use; prefix included. */
  #have = 0;

  /** `maxBytes`: the largest payload that is taken. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of a message that has begun and not ended. Above 0 at the body's end: it was cut off. */
  get pendingBytes(): number {
    return this.#have;
  }

  /** Throws `resource_exhausted` (MESSAGE_TOO_LARGE) and `internal` (BAD_FRAME); the body cannot be read on after that. */
  read(chunk: Uint8Array, start: number, end: number, sink: MessageSink): void {
    let at = start;
    while (at < end) {
      if (this.#have === 0 && end - at >= PREFIX_BYTES) {
        const next = at + PREFIX_BYTES + this.#length(chunk, at);
        if (next <= end) {
          const payload = at + PREFIX_BYTES;
          sink.onMessage(chunk, payload, next, chunk[at] === 1);
          at = next;
          continue;
        }
      }
      at = this.#gather(chunk, at, end, sink);
    }
  }

  /** Adds to the partial message as much of [at, end) as it needs, and hands it on when that completes it. Returns where the rest begins. */
  #gather(chunk: Uint8Array, at: number, end: number, sink: MessageSink): number {
    if (this.#have < PREFIX_BYTES) at = this.#take(chunk, at, Math.min(end, at + PREFIX_BYTES - this.#have));
    if (this.#have < PREFIX_BYTES) return at;
    const total = PREFIX_BYTES + this.#length(this.#partial, 0);
    at = this.#take(chunk, at, Math.min(end, at + total - this.#have));
    if (this.#have < total) return at;
    const whole = this.#partial;
    this.#partial = NOTHING;
    this.#have = 0;
    sink.onMessage(whole, PREFIX_BYTES, total, whole[0] === 1);
    giveBack(whole);
    return at;
  }

  #take(chunk: Uint8Array, start: number, end: number): number {
    const need = this.#have + end - start;
    if (need > this.#partial.length) {
      const grown = takeBlock(need);
      if (this.#partial !== NOTHING) {
        this.#partial.copy(grown, 0, 0, this.#have);
        giveBack(this.#partial);
      }
      this.#partial = grown;
    }
    this.#partial.set(chunk.subarray(start, end), this.#have);
    this.#have = need;
    return end;
  }

  #length(bytes: Uint8Array, at: number): number {
    const flag = bytes[at];
    if (flag > 1) {
      throw new WeftError("internal", `a gRPC message begins with flag ${flag}; 0 and 1 are known`, {
        reason: "BAD_FRAME",
      });
    }
    const length = bytes[at + 1] * 0x1_00_00_00 + ((bytes[at + 2] << 16) | (bytes[at + 3] << 8) | bytes[at + 4]);
    if (length > this.#maxBytes) {
      const text = `a message of ${length} bytes is larger than the ${this.#maxBytes} that are taken; raise maxMessageBytes or send less`;
      throw new WeftError("resource_exhausted", text, { reason: "MESSAGE_TOO_LARGE" });
    }
    return length;
  }
}

const NOTHING = Buffer.alloc(0);
