import type { Random } from "../../core/random.ts";

/**
 * Through which a call reads randomness and whatever state of the process its decision depends on. Off, it passes everything through; while
 * recording it keeps each value read, in order; while playing it gives the recorded ones in place of the present ones, so that a decision comes out again
 * exactly as it was.
 */
export class Tape implements Random {
  readonly #random: Random;
  #mode: TapeMode = OFF;
  /** Recorded, or being played. */
  values: number[] = [];
  #at = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** A draw in [0, 1). */
  next(): number {
    if (this.#mode === OFF) return this.#random.next();
    return this.#mode === RECORDING ? this.#record(this.#random.next()) : this.#play(this.#random.next());
  }

  /** A value of state, read by `value`'s evaluation. */
  read(value: number): number {
    if (this.#mode === OFF) return value;
    return this.#mode === RECORDING ? this.#record(value) : this.#play(value);
  }

  /** Whether values other than the recorded ones were asked for: the call took another way. */
  get overrun(): boolean {
    return this.#mode === PLAYING && this.#at > this.values.length;
  }

  record(): void {
    this.#mode = RECORDING;
    this.values = [];
  }

  play(values: readonly number[]): void {
    this.#mode = PLAYING;
    this.values = [...values];
    this.#at = 0;
  }

  off(): void {
    this.#mode = OFF;
  }

  #record(value: number): number {
    this.values.push(value);
    return value;
  }

  #play(present: number): number {
    const at = this.#at++;
    return at < this.values.length ? this.values[at] : present;
  }
}

type TapeMode = 0 | 1 | 2;
const OFF = 0;
const RECORDING = 1;
const PLAYING = 2;
