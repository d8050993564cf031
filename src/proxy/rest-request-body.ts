import type { HttpStream, StreamSink } from "../wire/stream.ts";

/** What a transcoded call hears of its caller. */
export interface RestCaller {
  /** Bytes of the request's body. */
  gather(chunk: Uint8Array, start: number, end: number, fin: boolean): void;
  /** The request is complete. */
  send(): void;
  gone(): void;
  /** The caller takes bytes again. */
  writable(): void;
}

/** Tells a transcoded call of its caller; apart from it, since both sides of a call have an onData. */
export class RestRequestBody implements StreamSink {
  readonly #call: RestCaller;

  constructor(call: RestCaller) {
    this.#call = call;
  }

  onHead(): void {} // a server's head comes with onRequest

  onData(_stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    this.#call.gather(chunk, start, end, fin);
  }

  onTrailers(): void {
    this.#call.send();
  }

  onReset(): void {
    this.#call.gone();
  }

  onWritable(): void {
    this.#call.writable();
  }
}
