import { Duplex } from "node:stream";
import type { HttpStream, StreamFailure, StreamSink } from "../../wire/stream.ts";

/** The bytes of a tunnel (a CONNECT that was granted) as a Duplex, for whoever carries bytes whatever they are. */
export class StreamDuplex extends Duplex implements StreamSink {
  readonly #stream: HttpStream;
  #written: ((error?: Error | null) => void) | null = null;
  /** Bytes handed to readers' queue and not credited. */
  #owed = 0;

  constructor(stream: HttpStream) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    stream.sink = this;
  }

  override _read(): void {
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0) this.#stream.credit(owed);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#stream.closed) done(new Error("the tunnel is closed"));
    else if (this.#stream.sendData(chunk, 0, chunk.length, false)) done();
    else this.#written = done;
  }

  override _final(done: () => void): void {
    this.#stream.sendData(NOTHING, 0, 0, true);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#stream.closed) this.#stream.reset(CANCEL);
    done(error);
  }

  onHead(): void {}

  onData(_stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (end > start) {
      this.#owed += end - start;
      if (this.push(Buffer.from(chunk.subarray(start, end)))) this._read();
    }
    if (fin) this.push(null);
  }

  onTrailers(): void {
    this.push(null);
  }

  onReset(_stream: HttpStream, { message }: StreamFailure): void {
    this.destroy(new Error(message));
  }

  onWritable(): void {
    const done = this.#written;
    this.#written = null;
    done?.();
  }
}

const NOTHING = new Uint8Array(0);
const CANCEL = 8;
