import type { WeftError } from "../core/errors.ts";
import type { BufferBudget } from "./buffer-budget.ts";

/**
 * The messages of a request stream on their way to the handler: an async iterable fed by a connection.
 *
 *     connection --push(message, bytes)--> [ waiting messages ] --next()--> handler
 *                <--------credit(bytes)----------------------------'
 *
 * Bytes are credited back to the peer when the handler takes the message they belong to, so a slow handler slows the peer, and
 * what is held is at most the receive window. While the handler waits, whatever arrives is credited at once: a
 * message larger than the window could not be completed otherwise.
 */
export class RequestQueue<T> implements AsyncIterableIterator<T> {
  readonly #credit: (bytes: number) => void;
  readonly #budget: BufferBudget;
  #items: { value: T | Promise<T>; bytes: number }[] = [];
  #taken = 0;
  #waiter: { resolve: (result: IteratorResult<T>) => void; reject: (error: unknown) => void } | null = null;
  /** Received bytes of a message that is not complete yet. */
  #loose = 0;
  #ended = false;
  #error: WeftError | null = null;

  /** Waiting messages are held on `budget`. */
  constructor(credit: (bytes: number) => void, budget: BufferBudget) {
    this.#credit = credit;
    this.#budget = budget;
  }

  /** Bytes arrived that belong to a message not pushed yet. */
  received(bytes: number): void {
    if (this.#waiter !== null || this.#ended) this.#credit(bytes);
    else this.#loose += bytes;
  }

  /**
   * A message is complete; `value` may still be on its way (decompression). The bytes received so far are taken to be its own. Throws
   * `resource_exhausted` when the budget is spent.
   */
  push(value: T | Promise<T>): void {
    // Whoever takes it hears of a failure; until then it must not count as unhandled.
    if (value instanceof Promise) value.catch(() => {});
    const bytes = this.#loose;
    this.#loose = 0;
    if (this.#ended) {
      if (bytes > 0) this.#credit(bytes);
      return;
    }
    const waiter = this.#waiter;
    if (waiter === null) {
      try {
        this.#budget.take(bytes + ITEM_BYTES);
      } catch (thrown) {
        if (bytes > 0) this.#credit(bytes);
        throw thrown;
      }
      this.#items.push({ value, bytes });
      return;
    }
    this.#waiter = null;
    if (bytes > 0) this.#credit(bytes);
    settle(value).then(waiter.resolve, waiter.reject);
  }

  /** No more messages come: the peer ended its side, or (with an error) the stream broke. What is waiting is still delivered, unless there is an error. */
  end(error: WeftError | null = null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    if (error !== null) this.#discard();
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter === null) return;
    if (error === null) waiter.resolve({ value: undefined, done: true });
    else waiter.reject(error);
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#taken < this.#items.length) {
      const { value, bytes } = this.#items[this.#taken++];
      if (this.#taken === this.#items.length) {
        this.#items = [];
        this.#taken = 0;
      }
      this.#budget.take(-(bytes + ITEM_BYTES));
      if (bytes > 0) this.#credit(bytes);
      return settle(value);
    }
    if (this.#error !== null) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    if (this.#waiter !== null) {
      return Promise.reject(
        new Error("next() was called on a request stream while an earlier next() was waiting; read it in one place"),
      );
    }
    if (this.#loose > 0) {
      this.#credit(this.#loose);
      this.#loose = 0;
    }
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  /** The handler wants no more: what comes is taken from the peer and dropped. */
  return(): Promise<IteratorResult<T>> {
    this.discard();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** As return(), for the queue's owner when the call is over. */
  discard(): void {
    this.#ended = true;
    this.#discard();
    this.#waiter?.resolve({ value: undefined, done: true });
    this.#waiter = null;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #discard(): void {
    let bytes = this.#loose;
    for (let i = this.#taken; i < this.#items.length; i++) {
      bytes += this.#items[i].bytes;
      this.#budget.take(-(this.#items[i].bytes + ITEM_BYTES));
    }
    this.#items = [];
    this.#taken = 0;
    this.#loose = 0;
    if (bytes > 0) this.#credit(bytes);
  }
}

/** What a waiting message takes besides its bytes, about: small ones weigh more decoded than on the wire. */
const ITEM_BYTES = 128;

function settle<T>(value: T | Promise<T>): Promise<IteratorResult<T>> {
  return value instanceof Promise
    ? value.then((message) => ({ value: message, done: false }))
    : Promise.resolve({ value, done: false });
}
