import type { Endpoint } from "../core/endpoint.ts";
import type { ConnectionWaiter, UpstreamPool } from "../net/types.ts";
import type { Head } from "../wire/head.ts";
import type { ClientConnection, HttpStream, StreamFailure, StreamSink } from "../wire/stream.ts";
import { copyBytes } from "./copy-bytes.ts";

/**
 * A copy of a request, sent to another endpoint for its effect alone: the response is read and dropped, failures are of no
 * consequence, and the call never waits for it. A body that outgrows what may wait for it is cut (the copy is reset).
 */
export class Mirror implements StreamSink, ConnectionWaiter {
  readonly #pool: UpstreamPool;
  readonly #endpoint: Endpoint;
  readonly #head: Head;
  readonly #extra: readonly string[] | null;
  #stream: HttpStream | null = null;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #ended: boolean;
  #stopped = false;

  constructor(pool: UpstreamPool, endpoint: Endpoint, head: Head, extra: readonly string[] | null, fin: boolean) {
    this.#pool = pool;
    this.#endpoint = endpoint;
    this.#head = head;
    this.#extra = extra;
    this.#ended = fin;
    const connection = pool.acquire(endpoint, this);
    if (connection !== null) this.onConnection(connection);
  }

  data(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (this.#stopped) return;
    this.#ended = fin;
    if (this.#stream !== null) {
      this.#stream.sendData(chunk, start, end, fin);
      if (this.#stream.bufferedBytes > MAX_WAITING_BYTES) this.stop();
      return;
    }
    this.#waitingBytes += end - start;
    if (this.#waitingBytes > MAX_WAITING_BYTES) this.stop();
    else this.#waiting.push(copyBytes(chunk, start, end));
  }

  /** Gives the copy up. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#waiting = [];
    if (this.#stream === null) this.#pool.cancel(this.#endpoint, this);
    else if (!this.#stream.closed) this.#stream.reset(CANCEL);
  }

  onConnection(connection: ClientConnection): void {
    if (this.#stopped) return;
    const fin = this.#ended && this.#waiting.length === 0;
    try {
      this.#stream = connection.request(this.#head, this.#extra, fin, this);
    } catch {
      this.#stopped = true; // of no consequence, as said above
      return;
    }
    for (let i = 0; i < this.#waiting.length; i++) {
      const piece = this.#waiting[i];
      this.#stream.sendData(piece, 0, piece.length, this.#ended && i === this.#waiting.length - 1);
    }
    this.#waiting = [];
  }

  onConnectFailed(_failure: StreamFailure): void {
    this.#stopped = true;
  }

  onHead(): void {}

  onData(stream: HttpStream, _chunk: Uint8Array, start: number, end: number): void {
    stream.credit(end - start);
  }

  onTrailers(): void {}

  onReset(): void {
    this.#stopped = true;
  }

  onWritable(): void {}
}

/** RFC 9113 section 7. */
const CANCEL = 8;
const MAX_WAITING_BYTES = 65_536;
