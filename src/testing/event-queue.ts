import type { Cancel, Clock } from "../core/clock.ts";
import { Heap } from "../core/heap.ts";

/**
 * Virtual time: what is to happen, by time and then by order of scheduling. Events know their place in it, so that a cancelled one leaves at once.
 */
export class EventQueue implements Clock {
  readonly #heap = new Heap<SimEvent>(before, (event, place) => {
    event.queued = place;
  });
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
    return this.#heap.size;
  }

  /** When the next event is due; Infinity when there is none. */
  get nextAt(): number {
    return this.#heap.first?.at ?? Number.POSITIVE_INFINITY;
  }

  /** An event that is already scheduled is moved. Times in the past are now; one at Infinity never comes. */
  schedule(event: SimEvent, at: number): void {
    this.cancel(event);
    if (at === Number.POSITIVE_INFINITY) return;
    event.at = Math.max(at, this.#now);
    event.order = this.#order++;
    this.#heap.push(event);
  }

  cancel(event: SimEvent): void {
    if (event.queued >= 0) this.#heap.removeAt(event.queued);
  }

  /** Moves time to the next event and fires it. False when there is none. */
  runNext(): boolean {
    const event = this.#heap.take();
    if (event === undefined) return false;
    this.#now = event.at;
    event.fire();
    return true;
  }
}

/** Something that happens at a time. Made once and scheduled as often as it is needed. */
export abstract class SimEvent {
  at = 0;
  order = 0;
  /** Its place in the queue, -1 when it is not scheduled. */
  queued = -1;

  abstract fire(): void;
}

class Callback extends SimEvent {
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
