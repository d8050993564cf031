import type { EffectKind } from "../call.ts";

/**
 * Effects that the machine has decided and its shell has not pulled yet: three numbers each, in one array that is reused, so that an effect costs
 * no object. The machine's next() reads it in place: a method that pulls cost 40 ns a call more (of 600).
 */
export class EffectQueue {
  /** Kind; an attempt, a timer id or an index; a time in ms. */
  readonly waiting: number[] = [];
  /** Of the oldest effect; nothing waits when it is `tail`. */
  first = 0;
  tail = 0;

  push(kind: EffectKind, number: number, value: number): void {
    const { waiting, tail } = this;
    waiting[tail] = kind;
    waiting[tail + 1] = number;
    waiting[tail + 2] = value;
    this.tail = tail + 3;
  }

  reset(): void {
    this.first = this.tail = 0;
  }
}
