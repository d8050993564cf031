import type { HttpStream, StreamSink } from "../../wire/stream.ts";

/**
 * A request that waits for something before it becomes a call. What comes of its body is kept uncredited, so that the stream's window bounds it.
 */
export class WaitingRequest implements StreamSink {
  readonly #stream: HttpStream;
  #body: Uint8Array[] = [];
  #ended = false;
  #gone = false;

  constructor(stream: HttpStream) {
    this.#stream = stream;
    stream.sink = this;
  }

  /** Goes on: `begin` sets the stream's sink, which then gets what came meanwhile. Not called when the caller is gone. */
  goOn(begin: () => void): void {
    const stream = this.#stream;
    if (this.#gone || stream.closed) return;
    const body = this.#body;
    this.#body = [];
    begin();
    const { sink } = stream;
    if (sink === this) return;
    for (const [i, chunk] of body.entries())
      sink.onData(stream, chunk, 0, chunk.length, this.#ended && i === body.length - 1);
    if (this.#ended && body.length === 0) sink.onData(stream, NOTHING, 0, 0, true);
  }

  onHead(): void {}

  onData(_stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (fin) this.#ended = true;
    if (end > start) this.#body.push(Buffer.from(chunk.subarray(start, end)));
  }

  onTrailers(): void {
    this.#ended = true;
  }

  onReset(): void {
    this.#gone = true;
    this.#body = [];
  }

  onWritable(): void {}
}

const NOTHING = new Uint8Array(0);
