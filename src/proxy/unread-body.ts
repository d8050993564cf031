import type { HttpStream, StreamSink } from "../wire/stream.ts";

/** The sink of a request that is answered without its body: lets the body pass, so that the connection stays usable. */
export class UnreadBody implements StreamSink {
  #ended: boolean;

  constructor(ended: boolean) {
    this.#ended = ended;
  }

  onHead(): void {}

  onData(stream: HttpStream, _chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    this.#ended ||= fin;
    if (!this.#ended) stream.credit(end - start);
  }

  onTrailers(): void {}
  onReset(): void {}
  onWritable(): void {}
}
