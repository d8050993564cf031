import type { CallState } from "../machine/call-state.ts";

/**
 * Calls in flight by key: never more than `max` for one, and at most `maxQueue` of each wait, first come, first served.
 *
 *     enter --fewer than max--> running --leave--> gone          leave lets the call that waited longest run
 *        |  `--room in queue--> waiting --its turn--> running
 *        |                         `--gave up / time is over--> gone
 *        `--neither--> refused
 *
 *     L1  Of one key at most `max` run.
 *     L2  Nobody runs while one who came earlier waits.
 *     L3  Whoever ran or waited is forgotten when it leaves: a key without calls takes no room.
 *
 * At most `maxKeys` keys have calls in flight; the calls of further ones count together.
 */
export class ConcurrencyLimiter {
  readonly max: number;
  readonly maxQueue: number;
  readonly #maxKeys: number;
  readonly #lanes = new Map<string, Lane>();

  constructor(max: number, maxQueue: number, maxKeys: number) {
    this.max = max;
    this.maxQueue = maxQueue;
    this.#maxKeys = maxKeys;
  }

  /** The key's calls. To be asked for anew by each call. */
  lane(key: string): Lane {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      if (this.#lanes.size >= this.#maxKeys) {
        key = CROWD;
        lane = this.#lanes.get(key);
      }
      if (lane === undefined) this.#lanes.set(key, (lane = new Lane(key)));
    }
    return lane;
  }

  /** Whether a call runs now (and is counted), may wait, or neither. */
  enter(lane: Lane): Entry {
    if (lane.running < this.max && lane.waiting === 0) {
      lane.running++;
      return Entry.running;
    }
    if (lane.waiting >= this.maxQueue) return Entry.refused;
    return Entry.waiting;
  }

  /** Puts a call that may wait into the queue. */
  wait(lane: Lane, call: CallState): Waiter {
    const waiter = new Waiter(lane, call, lane.last);
    if (lane.last === null) lane.first = waiter;
    else lane.last.next = waiter;
    lane.last = waiter;
    lane.waiting++;
    return waiter;
  }

  /** Runs whatever the limit says, for a limit that only watches. */
  watch(lane: Lane): void {
    lane.running++;
  }

  /** A running call ended. Gives the one whose turn it is now, which from here on runs; null for none. */
  leave(lane: Lane): Waiter | null {
    lane.running--;
    const next = lane.running < this.max ? lane.first : null;
    if (next !== null) {
      this.#unlink(next);
      lane.running++;
      next.granted = true;
    }
    this.#forget(lane);
    return next;
  }

  /** A waiting call gave up before its turn came. */
  giveUp(waiter: Waiter): void {
    if (!waiter.granted) this.#unlink(waiter);
    this.#forget(waiter.lane);
  }

  #unlink({ lane, next, previous }: Waiter): void {
    if (previous === null) lane.first = next;
    else previous.next = next;
    if (next === null) lane.last = previous;
    else next.previous = previous;
    lane.waiting--;
  }

  get keys(): number {
    return this.#lanes.size;
  }

  #forget(lane: Lane): void {
    if (lane.running === 0 && lane.waiting === 0) this.#lanes.delete(lane.key);
  }
}

/** The calls of one key. */
export class Lane {
  readonly key: string;
  running = 0;
  waiting = 0;
  /** Who waited longest, and who came last: a list through the waiters, so that each goes at once however many there are. */
  first: Waiter | null = null;
  last: Waiter | null = null;

  constructor(key: string) {
    this.key = key;
  }
}

/** A call that waits. To be given up once at most. */
export class Waiter {
  readonly lane: Lane;
  readonly call: CallState;
  /** It runs. */
  granted = false;
  previous: Waiter | null;
  next: Waiter | null = null;

  constructor(lane: Lane, call: CallState, previous: Waiter | null) {
    this.lane = lane;
    this.call = call;
    this.previous = previous;
  }
}

export const Entry = { running: 0, waiting: 1, refused: 2 } as const;
export type Entry = (typeof Entry)[keyof typeof Entry];

/** No key of a call holds this character. */
const CROWD = "\u0000";
