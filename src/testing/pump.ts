import { WeftError } from "../core/errors.ts";
import type { EventQueue } from "./event-queue.ts";

/**
 * Runs events while somebody waits for what comes of them, and not beyond: virtual time stands where the last thing that was waited for happened.
 *
 *     P1  What was begun before the first await runs at once: the pump begins in the next microtask.
 *     P2  While code of the user's is at work (a handler, a test that has just been answered), no event runs before it has come to where it waits.
 */
export class Pump {
  readonly #events: EventQueue;
  readonly #waiting = new Set<(error: unknown) => void>();
  #pumping = false;
  #told = false;
  /** Handlers and answers of the user's that are at work, or wait. */
  atWork = 0;
  /** What is worked out outside of virtual time, and takes none of it: signatures, above all. */
  holding = 0;

  constructor(events: EventQueue) {
    this.#events = events;
  }

  /** Begins something to wait for; `begin` is given what tells its end. */
  wait<T>(begin: (done: (value: T) => void) => void): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.add(reject);
    try {
      begin((value) => {
        this.#waiting.delete(reject);
        this.#told = true;
        resolve(value);
      });
    } catch (error) {
      this.#waiting.delete(reject);
      reject(error);
    }
    if (!this.#pumping && this.#waiting.size > 0) {
      this.#pumping = true;
      queueMicrotask(() => void this.#run());
    }
    return promise;
  }

  async #run(): Promise<void> {
    let until = this.#events.now() + MOST_MS;
    try {
      while (this.#waiting.size > 0) {
        if (this.#told) until = this.#events.now() + MOST_MS;
        if (this.atWork > 0 || this.#told) {
          this.#told = false;
          await turn();
        }
        for (let tries = 0; this.holding > 0 && tries < PATIENCE * 10; tries++) await (tries < 100 ? turn() : pause());
        if (this.#waiting.size === 0) break;
        if (!this.#events.runNext()) await this.#outside();
        else if (this.#events.now() > until) this.#stuck("what is waited for does not come within 30 days");
      }
    } catch (error) {
      for (const reject of this.#waiting) reject(error);
      this.#waiting.clear();
    } finally {
      this.#pumping = false;
    }
  }

  /** Nothing is left to happen by itself: perhaps code of the user's is still at work outside of the simulation. */
  async #outside(): Promise<void> {
    for (let tries = 0; tries < PATIENCE && this.atWork > 0; tries++) {
      await (tries < 10 ? turn() : pause());
      if (this.#events.size > 0 || this.#waiting.size === 0) return;
    }
    this.#stuck(
      this.atWork > 0
        ? "a handler has not answered and waits for nothing in virtual time; give it the world's clients and world.sleep, and fakes for what lies outside"
        : "what is waited for would never end; give it a time-out, or clear the fault that keeps it",
    );
  }

  #stuck(why: string): never {
    throw new WeftError("failed_precondition", `the simulation stands still at ${this.#events.now()} ms: ${why}`, {
      reason: "SIMULATION_STUCK",
    });
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

/** Virtual time in which nothing that is waited for happens. */
const MOST_MS = 30 * 86_400_000;
/** Tries, about a millisecond each. */
const PATIENCE = 1_000;
