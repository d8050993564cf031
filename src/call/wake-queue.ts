/**
 * Calls that may go on since another one ended (policy's Waker): they are told in the next microtask, when the one that ended has finished changing what
 * they share. However many there are, no stack grows.
 */
export class WakeQueue {
  #waiting: Wakeable[] = [];

  add(call: Wakeable): void {
    if (this.#waiting.push(call) === 1) queueMicrotask(this.#run);
  }

  readonly #run = (): void => {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) call.awake();
  };
}

export interface Wakeable {
  /** Tells its machine `woken`. Nothing when it is over. */
  awake(): void;
}
