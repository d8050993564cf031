/**
 * Where a connection gathers what it will write. One buffer is filled while the other is on its way to the kernel:
 *
 *     reserve, fill ... -> take() -> (shell writes) -> written() -> the buffer is the spare one, to be filled next
 *
 * 1. Bytes that were taken are not touched before written().
 * 2. An idle connection holds no buffer: shrink() lets go of what recent use does not explain.
 */
export class Output {
  /** Valid up to `length`; may be replaced by reserve(). */
  bytes: Buffer = NOTHING;
  length = 0;
  /** Bytes taken and not yet reported written. */
  inFlight = 0;
  /** Bytes ever taken. */
  taken = 0;
  #flying: Buffer | null = null;
  #spare: Buffer | null = null;
  #peak = 0;

  /** Makes room for `count` more bytes and returns where they begin. The caller fills them and moves `length` on. */
  reserve(count: number): number {
    const at = this.length;
    if (at + count > this.bytes.length) this.#grow(at + count);
    return at;
  }

  take(): Buffer {
    if (this.length === 0) return NOTHING;
    const bytes = this.bytes.subarray(0, this.length);
    if (this.length > this.#peak) this.#peak = this.length;
    this.taken += this.length;
    this.inFlight += this.length;
    this.length = 0;
    if (this.#flying === null) {
      this.#flying = this.bytes;
      this.bytes = this.#spare ?? NOTHING;
      this.#spare = null;
    } else {
      // Taken twice before written(): this one is not used again.
      this.bytes = NOTHING;
    }
    return bytes;
  }

  written(): void {
    this.inFlight = 0;
    if (this.bytes === NOTHING && this.#flying !== null) this.bytes = this.#flying;
    else this.#spare ??= this.#flying;
    this.#flying = null;
  }

  /** To be called now and then: frees buffers that are much larger than what was lately needed; all of them when nothing was. */
  shrink(): void {
    const enough = this.#peak * 4;
    if (this.length === 0 && this.bytes.length > enough) this.bytes = NOTHING;
    if (this.#spare !== null && this.#spare.length > enough) this.#spare = null;
    this.#peak = 0;
  }

  #grow(need: number): void {
    if (this.length === 0 && this.#spare !== null && this.#spare.length >= need) {
      this.bytes = this.#spare;
      this.#spare = null;
      return;
    }
    let size = Math.max(1_024, this.bytes.length * 2);
    while (size < need) size *= 2;
    const grown = Buffer.allocUnsafeSlow(size);
    if (this.length > 0) this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

const NOTHING = Buffer.alloc(0);
