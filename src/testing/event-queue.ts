import type { Cancel, Clock } from "../core/clock.ts";

/**
 * Virtual time: what is to happen, in a binary heap by time and then by order of scheduling. Events know their place in it, so that a cancelled one
 * leaves at once.
 */
export class EventQueue implements Clock {
  readonly #heap: SimEvent[] = [];
  #order = 0;
  #now = 0;

  now(): number {
    return this.#now;
  }

  /** Begins on 2026-01-01T00:00:00Z in every world. */
  wallMs(): number {
    return START_WALL_MS + Math.floor(this.#now);
  }

  after(delayMs: number, fire: () => void): Cancel {
    const event = new Callback(fire);
    this.schedule(event, this.#now + Math.max(0, delayMs));
    return () => this.cancel(event);
  }

  get size(): number {
    return this.#heap.length;
  }

  /** When the next event is due; Infinity when there is none. */
  get nextAt(): number {
    return this.#heap.length === 0 ? Number.POSITIVE_INFINITY : this.#heap[0].at;
  }

  /** An event that is already scheduled is moved. Times in the past are now; one at Infinity never comes. */
  schedule(event: SimEvent, at: number): void {
    if (event.index >= 0) this.cancel(event);
    if (at === Number.POSITIVE_INFINITY) return;
    event.at = Math.max(at, this.#now);
    event.order = this.#order++;
    this.#heap.push(event);
    this.#up(event, this.#heap.length - 1);
  }

  cancel(event: SimEvent): void {
    const { index } = event;
    if (index < 0) return;
    event.index = -1;
    const last = this.#heap.pop() as SimEvent;
    if (last === event) return;
    this.#up(last, index);
    this.#down(last, last.index);
  }

  /** Moves time to the next event and fires it. False when there is none. */
  runNext(): boolean {
    if (this.#heap.length === 0) return false;
    const event = this.#heap[0];
    this.cancel(event);
    this.#now = event.at;
    event.fire();
    return true;
  }

  #up(event: SimEvent, from: number): void {
    const heap = this.#heap;
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const other = heap[parent];
      if (!before(event, other)) break;
      heap[index] = other;
      other.index = index;
      index = parent;
    }
    heap[index] = event;
    event.index = index;
  }

  #down(event: SimEvent, from: number): void {
    const heap = this.#heap;
    const { length } = heap;
    let index = from;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= length) break;
      if (child + 1 < length && before(heap[child + 1], heap[child])) child++;
      const other = heap[child];
      if (!before(other, event)) break;
      heap[index] = other;
      other.index = index;
      index = child;
    }
    heap[index] = event;
    event.index = index;
  }
}

/** Something that happens at a time. Made once and scheduled as often as it is needed. */
export abstract class SimEvent {
  at = 0;
  order = 0;
  /** Its place in the heap, -1 when it is not scheduled. */
  index = -1;

  abstract fire(): void;
}

export class Callback extends SimEvent {
  readonly #fire: () => void;

  constructor(fire: () => void) {
    super();
    this.#fire = fire;
  }

  fire(): void {
    this.#fire();
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

export const START_WALL_MS = Date.UTC(2026, 0, 1);
