import type { Clock } from "../../core/clock.ts";

/** The Date field line of responses, formatted once a second for all connections that share it. */
export class HttpDate {
  readonly #clock: Clock;
  #second = -1;
  /** "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" */
  line: Uint8Array = new Uint8Array(0);

  constructor(clock: Clock) {
    this.#clock = clock;
    this.refresh();
  }

  /** Called about once a second, and when a connection opens. */
  refresh(): void {
    const second = Math.floor(this.#clock.wallMs() / 1_000);
    if (second === this.#second) return;
    this.#second = second;
    this.line = Buffer.from(`date: ${new Date(second * 1_000).toUTCString()}\r\n`, "latin1");
  }
}
