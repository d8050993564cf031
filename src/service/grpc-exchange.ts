import type { InboundCall } from "../call/inbound.ts";
import { peerBehindSidecar } from "../call/peer-field.ts";
import { scratch } from "../contract/scratch.ts";
import { trailersOfError } from "../contract/status.ts";
import { codeNumber, toWeftError, WeftError } from "../core/errors.ts";
import { Timer } from "../core/timer-wheel.ts";
import { LOAD_REPORT_FIELD } from "../policy/balance/load-report.ts";
import { PREFIX_BYTES, writeMessagePrefix } from "../wire/grpc/message-prefix.ts";
import { MessageReader } from "../wire/grpc/message-reader.ts";
import { type Head, responseHead, trailersHead } from "../wire/head.ts";
import type { HttpStream, StreamFailure, StreamSink } from "../wire/stream.ts";
import type { ServerEnvironment } from "./environment.ts";
import type { LoadReporter } from "./load-reporter.ts";
import { compressFrame, decompressMessage } from "./message-compression.ts";
import type { BoundMethod } from "./method.ts";
import { NOT_TIMED } from "./served-calls.ts";
import { ServerCallState } from "./server-call.ts";

/** What one request head asks for: the method and how its messages travel. Made once for each distinct head. */
export interface GrpcPlan {
  readonly method: BoundMethod;
  readonly environment: ServerEnvironment;
  /** Request messages may be compressed. */
  readonly requestGzip: boolean;
  /** Response messages worth it are compressed. */
  readonly responseGzip: boolean;
  /** From grpc-timeout or the service's default; Infinity without one. */
  readonly timeoutMs: number;
  /** The caller asks for the server's load; null when it does not. */
  readonly load: LoadReporter | null;
}

/**
 * One gRPC call on its stream: what unary and streaming calls have in common. The subclass hears of messages and the end of the
 * request, and answers by sendMessage, succeed and fail.
 *
 *     open --succeed / fail / deadline--> done        (trailers sent; a request still under way is told to stop)
 *       '-----peer's reset--------------> done        (nothing can be sent; call.signal aborts)
 */
export abstract class GrpcExchange extends Timer implements StreamSink {
  protected readonly plan: GrpcPlan;
  protected readonly stream: HttpStream;
  readonly call: ServerCallState;
  protected done = false;
  protected requestEnded = false;
  #reader: MessageReader | null = null;
  /** Bytes of a message that has not come whole, taken from the server's budget. */
  #held = 0;
  /** Policy let it pass, and is owed its end. */
  protected readonly gated: InboundCall | null;
  /** Of the server's timed calls. */
  #timed = NOT_TIMED;

  constructor(plan: GrpcPlan, stream: HttpStream, { authority, fields }: Head, gated: InboundCall | null) {
    super();
    const { environment, timeoutMs } = plan;
    this.plan = plan;
    this.stream = stream;
    this.gated = gated;
    let deadline = Number.POSITIVE_INFINITY;
    if (timeoutMs !== deadline) {
      // Waiting at a gate counts.
      const now = gated === null ? environment.clock.now() : gated.startedAt;
      deadline = now + timeoutMs;
      environment.wheel.schedule(this, timeoutMs, now);
    }
    this.call = new ServerCallState(
      plan.method.desc,
      authority,
      fields,
      environment.behindSidecar === true ? peerBehindSidecar(stream.connection.peer, fields) : stream.connection.peer,
      deadline,
      environment.clock,
      gated,
    );
    if (gated !== null && gated.addFields !== null) this.call.headers = [...gated.addFields];
    environment.inFlight.begin();
    if (plan.method.counted) this.#timed = environment.served.begin(plan.method.kind === "unary");
  }

  // --- what the subclass does -------------------------------------------------------------------------------------

  /** A whole message: bytes [start, end) of `bytes`, valid during the call only. May throw. */
  abstract onMessage(bytes: Uint8Array, start: number, end: number, compressed: boolean): void;
  /** The peer ended its side after the last message. May throw. */
  protected abstract onRequestEnd(): void;
  /** The call is over, one way or the other: what is held for it can go. */
  protected onFinished(): void {}
  /** The call is over for another reason than its own success. */
  protected abstract onClosed(reason: WeftError): void;
  /** `bytes` of the request arrived. By default they are credited at once. */
  protected received(bytes: number): void {
    this.stream.credit(bytes);
  }
  abstract onWritable(): void;

  // --- from the connection ----------------------------------------------------------------------------------------

  onHead(): void {}

  onData(_stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (end > start) this.received(end - start);
    if (this.done) return;
    try {
      const length = end - start - PREFIX_BYTES;
      // Nearly every unary request: one whole uncompressed message in one chunk.
      if (
        this.#reader === null &&
        length >= 0 &&
        chunk[start] === 0 &&
        length === readUint32(chunk, start + 1) &&
        length <= this.plan.method.options.maxRequestBytes
      ) {
        this.onMessage(chunk, start + PREFIX_BYTES, end, false);
      } else if (end > start) {
        this.#reader ??= new MessageReader(this.plan.method.options.maxRequestBytes);
        this.#reader.read(chunk, start, end, this);
        this.#hold(this.#reader.pendingBytes);
      }
      if (fin) this.#end();
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  onTrailers(): void {
    if (this.done) return;
    try {
      this.#end();
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  onReset(_stream: HttpStream, failure: StreamFailure): void {
    this.requestEnded = true;
    this.#close(new WeftError("cancelled", `the caller went away: ${failure.message}`, { reason: "CALLER_GONE" }));
  }

  /** The request has no body at all. */
  noBody(): void {
    this.onTrailers();
  }

  #end(): void {
    this.requestEnded = true;
    if (this.done) return;
    if (this.#reader !== null && this.#reader.pendingBytes > 0) {
      throw new WeftError(
        "invalid_argument",
        `the request ends in the middle of a message, of which ${this.#reader.pendingBytes} bytes came (prefix included)`,
        { reason: "TRUNCATED_MESSAGE" },
      );
    }
    this.onRequestEnd();
  }

  /** The deadline passed. */
  override fire(): void {
    const { method, timeoutMs } = this.plan;
    this.fail(
      new WeftError(
        "deadline_exceeded",
        `${method.path} took longer than the caller's deadline of ${Math.round(timeoutMs)} ms`,
        { reason: "DEADLINE_EXCEEDED" },
      ),
    );
  }

  // --- for the subclass -------------------------------------------------------------------------------------------

  /** Runs the handler as part of this call. */
  protected invoke(request: unknown): unknown {
    const { method, environment } = this.plan;
    return environment.scope.invoke(this.call, method.invoke, request);
  }

  protected decode(bytes: Uint8Array, start: number, end: number, compressed: boolean): unknown {
    const { input, options } = this.plan.method;
    if (!compressed) return input.decode(bytes, start, end);
    if (!this.plan.requestGzip)
      throw new WeftError("internal", "a message is marked as compressed, but the request has no grpc-encoding", {
        reason: "BAD_COMPRESSION",
      });
    return decompressMessage(Buffer.from(bytes.subarray(start, end)), options.maxRequestBytes, (plain) =>
      input.decode(plain, 0, plain.length),
    );
  }

  /** Sends one message, the head before the first. False: wait for onWritable. Throws when it cannot be encoded. */
  protected sendMessage(message: unknown): boolean {
    const { output, options } = this.plan.method;
    let end: number;
    try {
      end = output.encodeScratch(message as never, PREFIX_BYTES);
    } catch (cause) {
      throw badResponse(this.plan.method.path, cause);
    }
    if (end - PREFIX_BYTES > options.maxResponseBytes) {
      throw new WeftError(
        "resource_exhausted",
        `the response of ${this.plan.method.path} has ${end - PREFIX_BYTES} bytes; at most ${options.maxResponseBytes} are allowed (maxResponseBytes)`,
        {
          reason: "MESSAGE_TOO_LARGE",
        },
      );
    }
    let bytes: Uint8Array = scratch.bytes;
    if (this.plan.responseGzip && end - PREFIX_BYTES >= COMPRESS_FROM_BYTES) {
      bytes = compressFrame(bytes, PREFIX_BYTES, end);
      end = bytes.length;
    } else {
      writeMessagePrefix(bytes, 0, end - PREFIX_BYTES, false);
    }
    if (!this.call.headSent) this.sendHead();
    return this.stream.sendData(bytes, 0, end, false);
  }

  protected sendHead(): void {
    this.call.headSent = true;
    this.stream.sendHead(this.plan.responseGzip ? GZIP_HEAD : HEAD, this.call.headers, false);
  }

  protected succeed(): void {
    if (this.done) return;
    if (!this.call.headSent) this.sendHead();
    this.stream.sendTrailers(OK_TRAILERS, this.#withLoad(this.call.trailers));
    this.#finish(null);
  }

  /** Answers with an error; the one place where errors become gRPC responses. */
  protected fail(thrown: unknown): void {
    if (this.done) return;
    const error = toWeftError(thrown);
    if (error.reason === "UNHANDLED") this.plan.environment.onError(error, this.call);
    const { call, stream } = this;
    const fields = trailersOfError(error);
    const further = this.#withLoad(call.trailers);
    if (further !== null) fields.push(...further);
    if (!call.headSent && call.headers === null) {
      call.headSent = true;
      stream.sendHead(HEAD, fields, true);
    } else {
      if (!call.headSent) this.sendHead();
      stream.sendTrailers(NO_TRAILERS, fields);
    }
    this.#close(error);
  }

  /** Trailers, and for callers that ask the server's load. */
  #withLoad(trailers: readonly string[] | null): readonly string[] | null {
    const { load } = this.plan;
    if (load === null) return trailers;
    return trailers === null ? [LOAD_REPORT_FIELD, load.text()] : [...trailers, LOAD_REPORT_FIELD, load.text()];
  }

  #hold(bytes: number): void {
    if (this.done && bytes > 0) return;
    const more = bytes - this.#held;
    if (more === 0) return;
    this.plan.environment.buffers.take(more);
    this.#held = bytes;
  }

  #close(reason: WeftError): void {
    if (this.done) return;
    this.call.cancel(reason);
    this.#finish(reason);
    this.onClosed(reason);
  }

  #finish(failure: WeftError | null): void {
    this.done = true;
    this.#hold(0);
    const { wheel, inFlight, served } = this.plan.environment;
    wheel.cancel(this);
    this.onFinished();
    if (!this.requestEnded) this.stream.reset(NO_ERROR);
    if (this.plan.method.counted) served.end(this.#timed, failure);
    inFlight.end();
    if (this.gated !== null) {
      if (failure?.reason === "CALLER_GONE") this.gated.gone();
      else this.gated.ended(200, failure === null ? 0 : codeNumber(failure.code));
    }
  }
}

/** A handler's answer that its contract cannot carry: a fault of the service, whatever the codec calls it. */
export function badResponse(path: string, cause: unknown): WeftError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return toWeftError(new Error(`the handler of ${path} returned what its contract does not allow: ${text}`, { cause }));
}

export function assertOneMessage(path: string, count: number): void {
  if (count === 1) return;
  throw new WeftError(
    "unimplemented",
    `${path} takes exactly one request message and got ${count === 0 ? "none" : count}`,
    { reason: "REQUEST_CARDINALITY" },
  );
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

/** Below this gzip gains nothing. */
const COMPRESS_FROM_BYTES = 1024;
/** HTTP/2's error code for "the response is complete, stop sending" (RFC 9113, 8.1). */
const NO_ERROR = 0;
const HEAD = responseHead(200, ["content-type", "application/grpc", "grpc-accept-encoding", "identity,gzip"]);
const GZIP_HEAD = responseHead(200, [
  "content-type",
  "application/grpc",
  "grpc-encoding",
  "gzip",
  "grpc-accept-encoding",
  "identity,gzip",
]);
const OK_TRAILERS = trailersHead(["grpc-status", "0"]);
const NO_TRAILERS: Head = trailersHead([]);
