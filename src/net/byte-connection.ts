import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { giveBack, takeBlock } from "../core/block-pool.ts";

/** Who hears what comes on a ByteConnection. */
export interface ByteOwner {
  /** Bytes [start, end) of `chunk`, valid during the call only. False: read no more until resume(). */
  onBytes(connection: ByteConnection, chunk: Uint8Array, start: number, end: number): boolean;
  /** The peer sends no more. What is written to it may still be wanted. */
  onEnd(connection: ByteConnection): void;
  /** Everything that was written has been taken by the kernel, after write() answered false. */
  onDrained(connection: ByteConnection): void;
  /** It is gone; nothing follows. `message` is "" when both sides had ended. */
  onClosed(connection: ByteConnection, message: string): void;
}

/**
 * One side of a session of bytes: a socket (or a tunnel), whatever it means.
 *
 *     open --our end and the peer's--> closed
 *       \--error, destroy()------------^
 *
 * B1. What comes before there is an owner is kept, at most MAX_EARLY_BYTES; beyond that it is not read.
 * B2. Of what is written, what the kernel has not taken waits in blocks of a pool; write() answers false while any does, so that one chunk each way is the most
 *     that a session holds.
 * B3. onClosed is told exactly once.
 */
export class ByteConnection {
  readonly #stream: Duplex;
  #owner: ByteOwner | null = null;
  #early: Buffer[] | null = null;
  #earlyBytes = 0;
  #paused = false;
  #waiting = 0;
  #owesDrain = false;
  #peerEnded = false;
  #ended = false;
  #closed = false;
  #error = "";

  /** Its bytes come through receive(), where the stream was made to read into a shared buffer; otherwise, `byEvents`, from the stream. */
  constructor(stream: Duplex, byEvents: boolean) {
    this.#stream = stream;
    stream.on("error", (error: Error) => {
      if (this.#error === "") this.#error = error.message;
    });
    stream.on("end", () => this.#onEnd());
    stream.on("close", () => this.#onClose());
    if (byEvents) {
      stream.on("data", (chunk: Buffer) => {
        if (!this.receive(chunk, 0, chunk.length)) stream.pause();
      });
      stream.resume(); // it may have been paused by whoever had it before
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** From now on `owner` hears of it, beginning with what came before. */
  own(owner: ByteOwner): void {
    this.#owner = owner;
    const early = this.#early ?? [];
    this.#early = null;
    this.#earlyBytes = 0;
    let more = true;
    for (const chunk of early) if (!this.#closed) more = owner.onBytes(this, chunk, 0, chunk.length) && more;
    if (this.#peerEnded && !this.#closed) owner.onEnd(this);
    if (this.#closed) owner.onClosed(this, this.#error);
    else if (more) this.resume();
    else if (!this.#paused) {
      this.#paused = true;
      this.#stream.pause();
    }
  }

  /** Bytes that belong before those that come: of what had to be looked at. Before there is an owner. */
  unshift(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    (this.#early ??= []).unshift(Buffer.from(bytes));
    this.#earlyBytes += bytes.length;
  }

  /** From the socket. False: read no more for now. */
  receive(chunk: Uint8Array, start: number, end: number): boolean {
    if (this.#closed) return true;
    if (end === start) return !this.#paused;
    if (this.#owner !== null) {
      if (!this.#owner.onBytes(this, chunk, start, end)) this.#paused = true;
      return !this.#paused;
    }
    (this.#early ??= []).push(Buffer.from(chunk.subarray(start, end)));
    this.#earlyBytes += end - start;
    if (this.#earlyBytes >= MAX_EARLY_BYTES) this.#paused = true;
    return !this.#paused;
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    this.#stream.resume();
  }

  /** Copies and sends. False: onDrained says when to go on. */
  write(chunk: Uint8Array, start: number, end: number): boolean {
    if (this.#closed || this.#ended) return true;
    const bytes = end - start;
    const block = takeBlock(bytes);
    block.set(start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end));
    this.#waiting++;
    this.#stream.write(block.subarray(0, bytes), () => {
      giveBack(block);
      this.#waiting--;
      if (this.#waiting > 0 || !this.#owesDrain || this.#closed) return;
      this.#owesDrain = false;
      this.#owner?.onDrained(this);
    });
    if (this.#stream.writableLength === 0) return true;
    this.#owesDrain = true;
    return false;
  }

  /** No more is written; what comes is still heard. */
  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#stream.end();
  }

  /** Closes now. A TCP peer sees a reset, so that it does not take what it has for all there is. */
  destroy(): void {
    if (this.#closed) return;
    const socket = this.#stream as Partial<Socket>;
    if (typeof socket.resetAndDestroy === "function" && !("encrypted" in socket)) socket.resetAndDestroy();
    else this.#stream.destroy();
  }

  #onEnd(): void {
    this.#peerEnded = true;
    this.#owner?.onEnd(this);
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#error === "" && !(this.#peerEnded && this.#ended)) this.#error = "the connection was closed";
    this.#owner?.onClosed(this, this.#error);
  }
}

const MAX_EARLY_BYTES = 65_536;
