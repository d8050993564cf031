import { WeftError } from "../core/errors.ts";
import type { Decision, LocalResponse } from "../policy/call.ts";
import { MessageReader, type MessageSink } from "../wire/grpc/message-reader.ts";
import type { Head } from "../wire/head.ts";
import type { MethodCaller } from "./client-method.ts";
import type { CallOptions } from "./client-types.ts";
import { Metadata } from "./metadata.ts";
import { abortError, checkResponseHead, decompress, messageOfFallback, statusOf } from "./response-status.ts";
import type { CarriedCall, Downstream } from "./types.ts";
import { callUser } from "./user-callback.ts";

/**
 * The straight way for unary calls: one object and one promise a call, no streams. The request goes out behind its prefix from the
 * shared scratch buffer; a response that lies whole in a chunk is decoded in place.
 */
export function callUnary(caller: MethodCaller, message: object, options: CallOptions | undefined): Promise<object> {
  const promise = new Promise<object>(executor);
  const call = new UnaryCall(caller, options, taken.resolve, taken.reject);
  call.start(message);
  return promise;
}

// One executor for all promises, instead of a closure for each: it runs inside the constructor, so that what it leaves is read at once.
const taken: { resolve: (message: object) => void; reject: (error: WeftError) => void } = {
  resolve: nothing,
  reject: nothing,
};

function executor(resolve: (message: object) => void, reject: (error: WeftError) => void): void {
  taken.resolve = resolve;
  taken.reject = reject;
}

function nothing(): void {}

class UnaryCall implements Downstream, MessageSink {
  readonly #caller: MethodCaller;
  readonly #options: CallOptions | undefined;
  readonly #resolve: (message: object) => void;
  readonly #reject: (error: WeftError) => void;
  #call: CarriedCall | null = null;
  #head: Head | null = null;
  #message: object | null = null;
  #error: WeftError | null = null;
  /** A status came: the call is complete. */
  #complete = false;
  #ended = false;
  /** What was asked, kept for a fallback function; null where there is none. */
  #request: object | null = null;
  /** The function will answer. */
  #fallsBack = false;
  /** For responses that come in pieces. */
  #reader: MessageReader | null = null;
  #uncredited = 0;
  #signal: AbortSignal | undefined = undefined;
  #ambientSignal: AbortSignal | undefined = undefined;

  constructor(
    caller: MethodCaller,
    options: CallOptions | undefined,
    resolve: (message: object) => void,
    reject: (error: WeftError) => void,
  ) {
    this.#caller = caller;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(message: object): void {
    const { env, head } = this.#caller;
    const options = this.#options;
    if (this.#caller.fallback !== null) this.#request = message;
    try {
      const ambient = env.ambient === undefined ? undefined : env.ambient();
      const signal = options === undefined ? undefined : options.signal;
      const ambientSignal = ambient === undefined ? undefined : ambient.signal;
      if (signal?.aborted) throw abortError(signal, this.#caller.path);
      if (ambientSignal?.aborted) throw abortError(ambientSignal, this.#caller.path);
      const extra = env.extraFields(options, ambient);
      const context = env.contextOf(options, ambient, extra, message);
      const end = this.#caller.encode(message);
      const call = env.carrier.begin(head, extra, context, this, false);
      if (this.#ended) return;
      this.#call = call;
      call.data(this.#caller.takeEncoded(), 0, end, true);
      if (signal === undefined && ambientSignal === undefined) return;
      this.#listen(signal, ambientSignal);
    } catch (thrown) {
      // The message does not encode, the metadata cannot travel, or the signal had aborted: nothing was sent.
      this.#ended = true;
      this.#reject(thrown as WeftError);
    }
  }

  // --- Downstream ---------------------------------------------------------------------------------------------

  onHead(head: Head, fin: boolean): void {
    if (head.status < 200) return;
    this.#head = head;
    if (head.derived !== CHECKED) {
      const error = checkResponseHead(head, this.#caller.path);
      if (error !== null) this.#error ??= error;
      else head.derived = CHECKED;
    }
    if (fin) this.#status(head);
    else if (this.#options?.onHeader !== undefined)
      this.#error ??= callUser(this.#options.onHeader, new Metadata(head.fields));
  }

  onData(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (this.#error === null && end > start) {
      try {
        this.#read(chunk, start, end);
      } catch (error) {
        this.#fail(error as WeftError);
        return;
      }
    }
    if (fin) {
      this.#complete = true;
      const text = `${this.#caller.path}: the response ended without a grpc-status`;
      this.#error ??= new WeftError("unknown", text, { reason: "NO_GRPC_STATUS" });
      return;
    }
    // Small responses never need credit; large ones get it in steps.
    this.#uncredited += end - start;
    if (this.#uncredited >= CREDIT_STEP_BYTES) {
      this.#call?.credit(this.#uncredited);
      this.#uncredited = 0;
    }
  }

  onTrailers(head: Head): void {
    this.#status(head);
  }

  onLocal(response: LocalResponse): void {
    this.#complete = true;
    if (response.error !== null) {
      this.#error ??= response.error;
      return;
    }
    try {
      this.#message = messageOfFallback(response, this.#caller.output, this.#caller.path);
    } catch (error) {
      this.#error ??= error as WeftError;
    }
  }

  onAbort(response: LocalResponse): void {
    this.#complete = true;
    this.#error ??= response.error;
  }

  onWritable(): void {}

  onEnd(decision: Decision): void {
    this.#ended = true;
    this.#call = null;
    if (this.#signal !== undefined) this.#signal.removeEventListener("abort", this.#onAbortSignal);
    if (this.#ambientSignal !== undefined) this.#ambientSignal.removeEventListener("abort", this.#onAbortSignal);
    if (this.#request !== null && this.#error !== null && this.#caller.fallback?.answers(this.#error)) {
      this.#fallsBack = true;
      decision.answeredByFunction?.();
    }
    const { onDecision } = this.#caller.env;
    // Told of failed calls too, so before and apart from `??=`, which would not call them.
    const own = onDecision === undefined ? null : callUser(onDecision, decision);
    const callers = this.#options?.onDecision === undefined ? null : callUser(this.#options.onDecision, decision);
    this.#error ??= own ?? callers;
    this.#settle();
  }

  // --- MessageSink --------------------------------------------------------------------------------------------

  onMessage(bytes: Uint8Array, start: number, end: number, compressed: boolean): void {
    if (this.#message !== null) {
      throw new WeftError("internal", `${this.#caller.path}: a second message came in answer to a unary call`, {
        reason: "TOO_MANY_MESSAGES",
      });
    }
    if (compressed) {
      const inflated = decompress(this.#head, bytes, start, end, this.#caller.env.maxMessageBytes);
      this.#message = this.#caller.output.decode(inflated, 0, inflated.length);
    } else this.#message = this.#caller.output.decode(bytes, start, end);
  }

  // --- private ------------------------------------------------------------------------------------------------

  #read(chunk: Uint8Array, start: number, end: number): void {
    let reader = this.#reader;
    if (reader === null) {
      // The usual response: one uncompressed message that fills the chunk. Its first length byte is 0 below 16 MB.
      if (
        end - start >= 5 &&
        chunk[start] === 0 &&
        chunk[start + 1] === 0 &&
        ((chunk[start + 2] << 16) | (chunk[start + 3] << 8) | chunk[start + 4]) === end - start - 5 &&
        end - start - 5 <= this.#caller.env.maxMessageBytes
      ) {
        this.onMessage(chunk, start + 5, end, false);
        return;
      }
      reader = this.#reader = new MessageReader(this.#caller.env.maxMessageBytes);
    }
    reader.read(chunk, start, end, this);
  }

  #status(head: Head): void {
    this.#complete = true;
    const error = statusOf(head);
    if (error !== null && (this.#error === null || error.reason !== "NO_GRPC_STATUS")) this.#error = error;
    const options = this.#options;
    if (options?.onTrailer !== undefined) this.#error ??= callUser(options.onTrailer, new Metadata(head.fields));
  }

  /** The response cannot be read on: the call is given up. */
  #fail(error: WeftError): void {
    this.#error ??= error;
    this.#call?.cancel();
  }

  #settle(): void {
    if (this.#fallsBack && this.#error !== null) {
      const { fallback } = this.#caller;
      fallback?.answer(this.#request as object, this.#error).then(this.#resolve, this.#reject);
    } else if (this.#error !== null) this.#reject(this.#error);
    else if (!this.#complete) {
      this.#reject(new WeftError("cancelled", `${this.#caller.path}: the call was cancelled`, { reason: "CANCELLED" }));
    } else if (this.#message === null || (this.#reader !== null && this.#reader.pendingBytes > 0)) {
      const text = `${this.#caller.path}: the server answered OK without a ${this.#message === null ? "" : "complete "}message`;
      this.#reject(new WeftError("internal", text, { reason: "NO_MESSAGE" }));
    } else this.#resolve(this.#message);
  }

  #listen(signal: AbortSignal | undefined, ambientSignal: AbortSignal | undefined): void {
    if (this.#ended) return;
    this.#signal = signal;
    this.#ambientSignal = ambientSignal === signal ? undefined : ambientSignal;
    signal?.addEventListener("abort", this.#onAbortSignal);
    this.#ambientSignal?.addEventListener("abort", this.#onAbortSignal);
  }

  /** Made only for calls that have a signal. */
  get #onAbortSignal(): EventListenerObject {
    return (this.#listener ??= {
      handleEvent: (event) => this.#fail(abortError(event.target as AbortSignal, this.#caller.path)),
    });
  }
  #listener: EventListenerObject | null = null;
}

interface EventListenerObject {
  handleEvent(event: Event): void;
}

/** Marks response heads that are known to be gRPC's. */
const CHECKED = Symbol("gRPC response head");
const CREDIT_STEP_BYTES = 32_768;
