import type { CarriedCall, Downstream } from "./types.ts";

/** Hears a call that has no caller: its answer is read for what the machine keeps of it, and dropped. */
export class Nobody implements Downstream {
  call: CarriedCall | null = null;
  #ended = false;

  onHead(): void {}

  onData(_chunk: Uint8Array, start: number, end: number): void {
    if (!this.#ended) this.call?.credit(end - start);
  }

  onTrailers(): void {}

  onLocal(): void {}

  onAbort(): void {}

  onWritable(): void {}

  onEnd(): void {
    this.#ended = true;
    this.call = null;
  }
}
