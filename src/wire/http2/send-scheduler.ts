import type { AbuseMeter } from "./abuse.ts";
import { INITIAL_WINDOW_BYTES } from "./frame.ts";
import type { FrameWriter } from "./frame-writer.ts";
import type { Http2Stream } from "./http2-stream.ts";

/**
 * Shares the connection's window and output among the streams that have body bytes waiting: one frame each, in turn.
 *
 *     ring   s5 <-> s9 <-> s3 <-> (s5)        bytes waiting, stream window open
 *            ^ current                        a stream whose own window is closed leaves, and comes back with WINDOW_UPDATE
 *
 * 1. A stream is in the ring exactly while it has queued bytes and its window is open.
 * 2. Nothing passes the queue: a stream's bytes leave in order, its trailers after them.
 * 3. While others wait, a newcomer queues too, so that it cannot take the window out of turn.
 * 4. No window gets negative by what is sent (only by the peer's SETTINGS).
 * 5. No body bytes are added to the output above OUTPUT_LIMIT_BYTES.
 */
export class SendScheduler {
  /** The connection's window. */
  window = INITIAL_WINDOW_BYTES;
  readonly #writer: FrameWriter;
  readonly #highWaterBytes: number;
  readonly #abuse: AbuseMeter;
  readonly #onEnded: (stream: Http2Stream) => void;
  #current: Http2Stream | null = null;
  #pumping = false;

  /** `onEnded`: the last frame of a stream's message was written. */
  constructor(writer: FrameWriter, highWaterBytes: number, abuse: AbuseMeter, onEnded: (stream: Http2Stream) => void) {
    this.#writer = writer;
    this.#highWaterBytes = highWaterBytes;
    this.#abuse = abuse;
    this.#onEnded = onEnded;
  }

  /** Writes what may be written now and queues the rest. False when more waits than the high-water mark. */
  send(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, fin: boolean): boolean {
    let at = start;
    if (stream.queue === null || stream.queue.bytes === 0) {
      if (this.#current === null) at = this.#direct(stream, bytes, start, end, fin);
      else if (start === end && fin) this.#writer.data(stream.id, bytes, start, end, true);
      if (at === end && (at > start || fin)) {
        if (fin) this.#onEnded(stream);
        return true;
      }
    }
    if (at === end) return !stream.blocked;
    const queue = stream.queueOf();
    queue.push(bytes, at, end);
    this.resume(stream);
    if (queue.bytes > this.#highWaterBytes) stream.blocked = true;
    return !stream.blocked;
  }

  /** The stream's window opened, or it has bytes at last: it takes its place in the ring. */
  resume(stream: Http2Stream): void {
    if (stream.next !== null || stream.sendWindow <= 0 || stream.bufferedBytes === 0) return;
    const current = this.#current;
    if (current === null) {
      this.#current = stream.next = stream.previous = stream;
      return;
    }
    const last = current.previous as Http2Stream;
    last.next = stream;
    stream.previous = last;
    stream.next = current;
    current.previous = stream;
  }

  /** The stream has nothing to send any more, or may not. */
  remove(stream: Http2Stream): void {
    const { next, previous } = stream;
    if (next === null || previous === null) return;
    if (next === stream) this.#current = null;
    else {
      previous.next = next;
      next.previous = previous;
      if (this.#current === stream) this.#current = next;
    }
    stream.next = stream.previous = null;
  }

  /** Writes as long as there are bytes, window and room in the output. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let stream = this.#current; stream !== null && this.window > 0 && this.#room() > 0; stream = this.#current) {
        this.#frame(stream);
      }
    } finally {
      this.#pumping = false;
    }
  }

  #frame(stream: Http2Stream): void {
    const queue = stream.queueOf();
    const count = Math.min(queue.bytes, this.#writer.maxFrameBytes, MAX_PIECE_BYTES, stream.sendWindow, this.window);
    const last = count === queue.bytes;
    const fin = last && stream.ended && stream.trailers === null;
    this.#writer.queued(stream.id, queue, count, fin);
    this.#spend(stream, count);
    if (last || stream.sendWindow <= 0) this.remove(stream);
    else this.#current = stream.next;
    if (last && stream.ended) {
      if (stream.trailers !== null) this.#writer.headers(stream.id, stream.trailers, null, true);
      this.#onEnded(stream);
    } else if (stream.blocked && queue.bytes <= this.#highWaterBytes / 2) {
      stream.blocked = false;
      stream.sink.onWritable(stream);
    }
  }

  /** Straight from the owner's bytes to the output. Returns how far it got. */
  #direct(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, fin: boolean): number {
    let at = start;
    if (start === end && fin) this.#writer.data(stream.id, bytes, start, end, true);
    while (at < end && this.#room() > 0) {
      const count = Math.min(end - at, this.#writer.maxFrameBytes, MAX_PIECE_BYTES, stream.sendWindow, this.window);
      if (count <= 0) break;
      this.#writer.data(stream.id, bytes, at, at + count, fin && at + count === end);
      at += count;
      this.#spend(stream, count);
    }
    return at;
  }

  /** Whoever reads what we send answers with window updates and pings: about as many as it gets frames and pages. */
  #spend(stream: Http2Stream, count: number): void {
    this.window -= count;
    stream.sendWindow -= count;
    this.#abuse.explain(3 + (count >>> 11));
  }

  #room(): number {
    const output = this.#writer.output;
    return OUTPUT_LIMIT_BYTES - output.length - output.inFlight;
  }
}

/** Body bytes are not added to the output above this. */
const OUTPUT_LIMIT_BYTES = 131_072;
/** Whatever frames the peer would take: larger ones make others wait. */
const MAX_PIECE_BYTES = 16_384;
