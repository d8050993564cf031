import { WeftError } from "../core/errors.ts";

/** Where a stream of response messages goes. */
export interface ResponseWriter {
  /** True once nothing more can be sent: the caller is gone, or the deadline passed. */
  readonly closed: boolean;
  /** Sends one message. False: wait for writable(). May throw when the message cannot be encoded. */
  write(message: unknown): boolean;
  /** Resolves when more may be written, or the writer closed. */
  writable(): Promise<void>;
  /** The stream ended well. */
  end(): void;
  /** The stream failed. */
  error(thrown: unknown): void;
}

/**
 * Carries what a handler yields to a writer, at the writer's pace. Returns what stops it: the handler's iterator is asked to return, which runs
 * the `finally` blocks of a generator that stands at a `yield`; one that waits for something else has to look at `call.signal`.
 */
export function pump(answer: unknown, writer: ResponseWriter): () => void {
  const iterator = iteratorOf(answer);
  if (iterator === null) {
    writer.error(
      new WeftError("internal", "internal error", {
        reason: "UNHANDLED",
        cause: new TypeError("the handler of a streaming method returned no iterable; make it `async *`"),
      }),
    );
    return () => {};
  }
  void run(iterator, writer);
  return () => stop(iterator);
}

async function run(iterator: AsyncIterator<unknown> | Iterator<unknown>, writer: ResponseWriter): Promise<void> {
  try {
    for (;;) {
      if (writer.closed) {
        stop(iterator);
        return;
      }
      const { done, value } = await iterator.next();
      if (done === true) break;
      if (!writer.closed && !writer.write(value)) await writer.writable();
    }
  } catch (thrown) {
    writer.error(thrown);
    stop(iterator);
    return;
  }
  writer.end();
}

function stop(iterator: AsyncIterator<unknown> | Iterator<unknown>): void {
  // What a handler throws while it is being stopped has nobody to go to: its call is over.
  try {
    Promise.resolve(iterator.return?.()).catch(() => {});
  } catch {
    // as above, from a synchronous iterator
  }
}

function iteratorOf(answer: unknown): AsyncIterator<unknown> | Iterator<unknown> | null {
  if (typeof answer !== "object" || answer === null) return null;
  const iterable = answer as Partial<AsyncIterable<unknown> & Iterable<unknown>>;
  return iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]?.() ?? null;
}
