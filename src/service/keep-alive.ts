import { Timer, type TimerWheel } from "../core/timer-wheel.ts";
import type { HttpStream } from "../wire/stream.ts";

/** Sends something harmless on a stream now and then, so that nobody on the way takes it for dead. */
export class KeepAlive extends Timer {
  readonly #stream: HttpStream;
  readonly #bytes: Uint8Array;
  readonly #wheel: TimerWheel;

  constructor(stream: HttpStream, bytes: Uint8Array, wheel: TimerWheel) {
    super();
    this.#stream = stream;
    this.#bytes = bytes;
    this.#wheel = wheel;
    wheel.schedule(this, KEEP_ALIVE_MS);
  }

  override fire(): void {
    // What waits already keeps it alive.
    if (this.#stream.bufferedBytes === 0) this.#stream.sendData(this.#bytes, 0, this.#bytes.length, false);
    this.#wheel.schedule(this, KEEP_ALIVE_MS);
  }

  stop(): void {
    this.#wheel.cancel(this);
  }
}

/** Proxies give silent responses up after 30 s and more. */
const KEEP_ALIVE_MS = 15_000;
