import { WeftError } from "../core/errors.ts";
import type { Decision, LocalResponse } from "../policy/call.ts";
import { MessageReader, type MessageSink } from "../wire/grpc/message-reader.ts";
import type { Head } from "../wire/head.ts";
import type { MethodCaller } from "./client-method.ts";
import type { CallOptions, Messages } from "./client-types.ts";
import { Metadata } from "./metadata.ts";
import { abortError, checkResponseHead, decompress, messageOfFallback, statusOf } from "./response-status.ts";
import type { CarriedCall, Downstream } from "./types.ts";
import { callUser } from "./user-callback.ts";

/** Starts a server-streaming call; the returned iterator is its response. */
export function callServerStreaming(
  caller: MethodCaller,
  message: object,
  options: CallOptions | undefined,
): StreamingCall {
  const call = new StreamingCall(caller, options);
  call.start(message);
  call.send(message, true);
  return call;
}

/** Starts a bidi-streaming call; requests are taken from `messages` as fast as the upstream takes them. */
export function callBidiStreaming(
  caller: MethodCaller,
  messages: Messages<object>,
  options: CallOptions | undefined,
): StreamingCall {
  const call = new StreamingCall(caller, options);
  call.start(null);
  void call.sendAll(messages);
  return call;
}

/** A client-streaming call: resolves with its one response. */
export async function callClientStreaming(
  caller: MethodCaller,
  messages: Messages<object>,
  options: CallOptions | undefined,
): Promise<object> {
  const call = callBidiStreaming(caller, messages, options);
  const first = await call.next();
  // The status follows the message: only OK makes it an answer.
  const second = first.done ? first : await call.next();
  if (first.done)
    throw new WeftError("internal", `${caller.path}: the server answered OK without a message`, {
      reason: "NO_MESSAGE",
    });
  if (second.done) return first.value;
  await call.return();
  throw new WeftError("internal", `${caller.path}: more than one message came in answer`, {
    reason: "TOO_MANY_MESSAGES",
  });
}

/**
 * A call with a stream on either side, and the iterator of its responses.
 *
 * Backpressure: bytes are credited while nobody waits in the queue; once decoded messages lie there, the bytes that follow are credited as
 * messages are taken. So at most a receive window and one message are held, and a message larger than the window still gets through.
 */
class StreamingCall implements Downstream, MessageSink, AsyncIterableIterator<object> {
  readonly #caller: MethodCaller;
  readonly #options: CallOptions | undefined;
  readonly #reader: MessageReader;
  #call: CarriedCall | null = null;
  #head: Head | null = null;
  #ended = false;
  #error: WeftError | null = null;
  #complete = false;
  /** Response messages not taken yet, and who waits for one: never both. */
  #queue: object[] = [];
  #taken = 0;
  #waiting: { resolve: (result: IteratorResult<object, undefined>) => void; reject: (error: WeftError) => void }[] = [];
  /** Bytes received and not credited. */
  #owed = 0;
  /** Resolves when the upstream takes request bytes again, or the call ends. */
  #writable: (() => void) | null = null;
  #signals: AbortSignal[] = [];
  #requestEnded = false;

  constructor(caller: MethodCaller, options: CallOptions | undefined) {
    this.#caller = caller;
    this.#options = options;
    this.#reader = new MessageReader(caller.env.maxMessageBytes);
  }

  // --- request ------------------------------------------------------------------------------------------------

  /** `message`: what the request consists of, when that is one message. */
  start(message: object | null): void {
    const { env, head, path } = this.#caller;
    try {
      const ambient = env.ambient?.();
      for (const signal of [this.#options?.signal, ambient?.signal]) {
        if (signal === undefined || this.#signals.includes(signal)) continue;
        if (signal.aborted) throw abortError(signal, path);
        this.#signals.push(signal);
      }
      const extra = env.extraFields(this.#options, ambient);
      const context = env.contextOf(this.#options, ambient, extra, message);
      const call = env.carrier.begin(head, extra, context, this, false);
      if (this.#ended) return;
      this.#call = call;
      for (const signal of this.#signals) signal.addEventListener("abort", this.#onAbortSignal);
    } catch (thrown) {
      this.#error = thrown as WeftError;
      this.#finish();
    }
  }

  /** Sends a message. False: wait for writable(). */
  send(message: object, last: boolean): boolean {
    if (this.#call === null || this.#requestEnded) return true;
    let end: number;
    try {
      end = this.#caller.encode(message);
    } catch (error) {
      this.cancel(error as WeftError);
      return true;
    }
    this.#requestEnded = last;
    return this.#call.data(this.#caller.takeEncoded(), 0, end, last);
  }

  endRequest(): void {
    if (this.#requestEnded) return;
    this.#requestEnded = true;
    this.#call?.data(EMPTY, 0, 0, true);
  }

  /** Sends a stream of messages, then ends the request. When the call ends first, the stream is left (its `return` is called). */
  async sendAll(messages: Messages<object>): Promise<void> {
    const iterator = iteratorOf(messages);
    let over = false;
    this.#leaveRequests = () => {
      if (!over) void Promise.resolve(iterator.return?.()).catch(() => {}); // its producer failing to clean up is not the call's failure
    };
    try {
      while (!this.#ended) {
        const next = await iterator.next();
        if (next.done) {
          over = true;
          break;
        }
        if (!this.#ended && !this.send(next.value, false) && !this.#ended) await this.#untilWritable();
      }
      this.endRequest();
    } catch (thrown) {
      over = true;
      const cause = thrown instanceof WeftError ? thrown : null;
      this.cancel(
        cause ??
          new WeftError("cancelled", `${this.#caller.path}: the stream of requests failed`, {
            reason: "REQUESTS_FAILED",
            cause: thrown,
          }),
      );
    }
    if (this.#ended) this.#leave();
  }

  /** Gives the call up; the iterator throws `error`. */
  cancel(error: WeftError): void {
    if (this.#ended || this.#complete) return;
    this.#error ??= error;
    this.#drop();
    if (this.#call === null) this.#finish();
    else this.#call.cancel();
  }

  // --- response (AsyncIterableIterator) -----------------------------------------------------------------------

  next(): Promise<IteratorResult<object, undefined>> {
    if (this.#taken < this.#queue.length) {
      const value = this.#queue[this.#taken++];
      if (this.#taken === this.#queue.length) {
        this.#queue = [];
        this.#taken = 0;
        this.#credit(this.#owed);
      } else if (this.#owed >= CREDIT_STEP_BYTES)
        this.#credit(Math.floor(this.#owed / (this.#queue.length - this.#taken + 1)));
      return Promise.resolve({ done: false, value });
    }
    if (this.#ended) return this.#last();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Ends the iteration; cancels the call when it goes on. */
  return(): Promise<IteratorResult<object, undefined>> {
    if (!this.#ended) {
      this.cancel(
        new WeftError("cancelled", `${this.#caller.path}: the response was left`, { reason: "RESPONSE_LEFT" }),
      );
    }
    this.#error = null;
    this.#drop();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // --- Downstream ---------------------------------------------------------------------------------------------

  onHead(head: Head, fin: boolean): void {
    if (head.status < 200) return;
    this.#head = head;
    this.#error ??= checkResponseHead(head, this.#caller.path);
    if (fin) this.#status(head);
    else if (this.#options?.onHeader !== undefined)
      this.#error ??= callUser(this.#options.onHeader, new Metadata(head.fields));
  }

  onData(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (this.#error === null && end > start) {
      try {
        this.#reader.read(chunk, start, end, this);
      } catch (error) {
        this.cancel(error as WeftError);
        return;
      }
    }
    if (fin) {
      this.#complete = true;
      this.#error ??= new WeftError("unknown", `${this.#caller.path}: the response ended without a grpc-status`, {
        reason: "NO_GRPC_STATUS",
      });
      return;
    }
    this.#owed += end - start;
    if (this.#queue.length === 0) this.#credit(this.#owed);
  }

  onTrailers(head: Head): void {
    this.#status(head);
  }

  onLocal(response: LocalResponse): void {
    if (response.error !== null) {
      this.#error ??= response.error;
      return;
    }
    try {
      this.#push(messageOfFallback(response, this.#caller.output, this.#caller.path));
      this.#complete = true;
    } catch (error) {
      this.#error ??= error as WeftError;
    }
  }

  onAbort(response: LocalResponse): void {
    this.#error ??= response.error;
  }

  onWritable(): void {
    this.#writable?.();
  }

  onEnd(decision: Decision): void {
    // Told of failed calls too, so before and apart from `??=`, which would not call them.
    const own = callUser(this.#caller.env.onDecision, decision);
    const callers = callUser(this.#options?.onDecision, decision);
    this.#error ??= own ?? callers;
    this.#finish();
  }

  // --- MessageSink --------------------------------------------------------------------------------------------

  onMessage(bytes: Uint8Array, start: number, end: number, compressed: boolean): void {
    const { output, env } = this.#caller;
    if (compressed) {
      const inflated = decompress(this.#head, bytes, start, end, env.maxMessageBytes);
      this.#push(output.decode(inflated, 0, inflated.length));
    } else this.#push(output.decode(bytes, start, end));
  }

  // --- private ------------------------------------------------------------------------------------------------

  #push(message: object): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) waiting.resolve({ done: false, value: message });
    else this.#queue.push(message);
  }

  #credit(bytes: number): void {
    if (bytes <= 0) return;
    this.#owed -= bytes;
    this.#call?.credit(bytes);
  }

  #status(head: Head): void {
    this.#complete = true;
    const error = statusOf(head);
    if (error !== null && (this.#error === null || error.reason !== "NO_GRPC_STATUS")) this.#error = error;
    else if (this.#reader.pendingBytes > 0) {
      this.#error ??= new WeftError("internal", `${this.#caller.path}: the response ended inside a message`, {
        reason: "TRUNCATED",
      });
    }
    if (this.#options?.onTrailer !== undefined)
      this.#error ??= callUser(this.#options.onTrailer, new Metadata(head.fields));
  }

  #finish(): void {
    this.#ended = true;
    this.#call = null;
    for (const signal of this.#signals) signal.removeEventListener("abort", this.#onAbortSignal);
    this.#signals = [];
    if (!this.#complete) {
      this.#error ??= new WeftError("cancelled", `${this.#caller.path}: the call was cancelled`, {
        reason: "CANCELLED",
      });
    }
    this.#writable?.();
    this.#leave();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) void this.#last().then(one.resolve, one.reject);
  }

  /** What the iterator says after the last message: the error, once; then that it is done. */
  #last(): Promise<IteratorResult<object, undefined>> {
    const error = this.#error;
    if (error === null) return Promise.resolve({ done: true, value: undefined });
    this.#error = null;
    return Promise.reject(error);
  }

  #drop(): void {
    this.#queue = [];
    this.#taken = 0;
  }

  #untilWritable(): Promise<void> {
    return new Promise((resolve) => {
      this.#writable = () => {
        this.#writable = null;
        resolve();
      };
    });
  }

  #leaveRequests: (() => void) | null = null;

  #leave(): void {
    const leave = this.#leaveRequests;
    this.#leaveRequests = null;
    leave?.();
  }

  readonly #onAbortSignal = (event: Event): void => {
    this.cancel(abortError(event.target as AbortSignal, this.#caller.path));
  };
}

function iteratorOf(messages: Messages<object>): AsyncIterator<object> | Iterator<object> {
  return Symbol.asyncIterator in messages ? messages[Symbol.asyncIterator]() : messages[Symbol.iterator]();
}

const EMPTY = new Uint8Array(0);
const CREDIT_STEP_BYTES = 32_768;
