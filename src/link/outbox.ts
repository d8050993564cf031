/**
 * Messages up, for one stream: pushed by the link, pulled by the call. Heartbeats that nobody has taken yet are not repeated, and everything else is
 * one for each registration or subscription, so it stays small however slow the line is.
 */
export class Outbox<T> implements AsyncIterable<T> {
  #messages: T[] = [];
  #ended = false;
  #changed: (() => void) | null = null;

  get size(): number {
    return this.#messages.length;
  }

  push(message: T): void {
    if (this.#ended) return;
    this.#messages.push(message);
    this.#wake();
  }

  /** The stream ends when what was pushed is taken. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const messages = this.#messages;
      this.#messages = [];
      for (const message of messages) yield message;
      if (this.#messages.length > 0) continue;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  #wake(): void {
    this.#changed?.();
    this.#changed = null;
  }
}
