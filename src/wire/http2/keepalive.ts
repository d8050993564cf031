import { Countdown } from "./countdown.ts";

/**
 * Notices a peer that is gone without a word: after a while of silence it is asked for a sign of life (PING), and given up without one.
 *
 *     heard --intervalMs of silence--> asked --any bytes--> heard
 *                                        '---timeoutMs--> dead
 */
export class Keepalive {
  readonly #intervalMs: number;
  readonly #timeoutMs: number;
  readonly #silence = new Countdown();
  readonly #asked = new Countdown();

  constructor(intervalMs: number, timeoutMs: number) {
    this.#intervalMs = intervalMs;
    this.#timeoutMs = timeoutMs;
  }

  /** `heard`: something came since the last tick. `wanted`: false asks for nothing now. Answers what is to be done. */
  tick(now: number, heard: boolean, wanted: boolean): "nothing" | "ping" | "give up" {
    if (heard) {
      this.#silence.start();
      this.#asked.stop();
    }
    if (this.#asked.over(now, this.#timeoutMs)) return "give up";
    if (!wanted || !this.#silence.running) this.#silence.start();
    if (!this.#silence.over(now, this.#intervalMs) || this.#asked.running || !wanted) return "nothing";
    this.#asked.start();
    this.#asked.over(now, this.#timeoutMs);
    return "ping";
  }

  /** A PING was answered. False: none was asked for. */
  answered(payload: Uint8Array, start: number): boolean {
    for (let i = 0; i < KEEPALIVE_PING.length; i++) if (payload[start + i] !== KEEPALIVE_PING[i]) return false;
    const asked = this.#asked.running;
    this.#asked.stop();
    return asked;
  }
}

/** What its PINGs carry. */
export const KEEPALIVE_PING = Buffer.from("weftlive", "latin1");
