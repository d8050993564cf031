import type { Clock } from "../core/clock.ts";

/**
 * What all connections of a process share: the queue of those to write at the end of this turn of the event loop, the ticker
 * that drives their time-outs, and the buffer that plain sockets read into.
 *
 *     poll phase    read -> machine -> wake()  wake()  wake()        many connections, many calls
 *     check phase   flush: one write for each connection            (setImmediate)
 *
 * setImmediate and not a microtask: a microtask runs after each single read, so a turn that reads 64 downstream sockets would write
 * the upstream socket 64 times.
 */
export class Loop {
  readonly #clock: Clock;
  #dirty: Flushable[] = [];
  #flushing: Flushable[] = [];
  #scheduled = false;
  readonly #ticking = new Set<Ticking>();
  #tickScheduled = false;
  /** When the next tick is to come. */
  #tickDue = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  /** Calls connection.flush() once, at the end of this turn. The caller sees to it that it is in the queue only once. */
  enqueue(connection: Flushable): void {
    this.#dirty.push(connection);
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#flush);
    }
  }

  /** Calls connection.tick(now) about once a second until remove(). After a pause of the process it comes when what peers have sent meanwhile was read. */
  add(connection: Ticking): void {
    this.#ticking.add(connection);
    if (!this.#tickScheduled) this.#scheduleTick();
  }

  remove(connection: Ticking): void {
    this.#ticking.delete(connection);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    const batch = this.#dirty;
    this.#dirty = this.#flushing;
    this.#flushing = batch;
    for (let i = 0; i < batch.length; i++) batch[i].flush();
    batch.length = 0;
  };

  #scheduleTick(): void {
    this.#tickScheduled = true;
    this.#tickDue = this.#clock.now() + TICK_MS;
    this.#clock.after(TICK_MS, this.#tick);
  }

  // Timers come before the poll phase, setImmediate behind it: nobody is given up for what is there, and only was not read.
  readonly #tick = (): void => {
    if (this.#clock.now() - this.#tickDue >= LATE_MS) setImmediate(this.#tickAll);
    else this.#tickAll();
  };

  readonly #tickAll = (): void => {
    this.#tickScheduled = false;
    const now = this.#clock.now();
    for (const connection of this.#ticking) connection.tick(now);
    if (this.#ticking.size > 0) this.#scheduleTick();
  };
}

export interface Flushable {
  flush(): void;
}

export interface Ticking {
  tick(now: number): void;
}

const TICK_MS = 1_000;
/** So late the process was held up. */
const LATE_MS = 100;

const loops = new WeakMap<Clock, Loop>();

/** The loop of this clock: one for the process in practice, another for each test that brings a clock of its own. */
export function loopOf(clock: Clock): Loop {
  let loop = loops.get(clock);
  if (loop === undefined) loops.set(clock, (loop = new Loop(clock)));
  return loop;
}

/** Where plain sockets read into, all of them: a machine is done with the bytes when its receive() returns. */
export const readBuffer: Uint8Array<ArrayBuffer> = Buffer.allocUnsafeSlow(65_536);
