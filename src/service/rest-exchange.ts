import { gunzip, gzip as gzipAsync, gzipSync } from "node:zlib";
import { create, type Message } from "@bufbuild/protobuf";
import type { InboundCall } from "../call/inbound.ts";
import { peerBehindSidecar } from "../call/peer-field.ts";
import { conditionalAnswer } from "../contract/conditional.ts";
import type { HttpBinding } from "../contract/http-rule.ts";
import { problemResponse } from "../contract/problem.ts";
import { httpStatusOf } from "../contract/status.ts";
import { messageToResponse, requestToMessage } from "../contract/transcode.ts";
import type { StreamEncoder } from "../contract/transcode-stream.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import { Timer } from "../core/timer-wheel.ts";
import { LOAD_REPORT_FIELD } from "../policy/balance/load-report.ts";
import { type Head, responseHead } from "../wire/head.ts";
import type { HttpStream, StreamFailure, StreamSink } from "../wire/stream.ts";
import type { ServerEnvironment } from "./environment.ts";
import { badResponse, isThenable } from "./grpc-exchange.ts";
import { KeepAlive } from "./keep-alive.ts";
import type { LoadReporter } from "./load-reporter.ts";
import type { BoundMethod } from "./method.ts";
import { pump, type ResponseWriter } from "./response-pump.ts";
import { NOT_TIMED } from "./served-calls.ts";
import { ServerCallState } from "./server-call.ts";

/** What one REST request head asks for. Shared by all requests with that head. */
export interface RestRequest {
  readonly method: BoundMethod;
  readonly environment: ServerEnvironment;
  readonly binding: HttpBinding;
  /** The path's variables, decoded, in the binding's order. */
  readonly variables: readonly string[];
  readonly query: string;
  readonly timeoutMs: number;
  /** GET or HEAD: the answer gets an ETag, and may be 304. */
  readonly safe: boolean;
  /** HEAD: the head alone is sent. */
  readonly withoutBody: boolean;
  /** The caller takes gzip. */
  readonly gzip: boolean;
  /** Server streaming: how its messages become a body. */
  readonly stream: StreamEncoder | null;
  /** "GET /v1/products/{id}" */
  readonly name: string;
  /** The caller asks for the server's load; null when it does not. */
  readonly load: LoadReporter | null;
}

/**
 * One REST call on its stream: gathers the body, runs the handler, answers in JSON (or the bytes of a google.api.HttpBody); server
 * streams are lines of JSON or server-sent events.
 */
export class RestExchange extends Timer implements StreamSink, ResponseWriter {
  readonly #request: RestRequest;
  readonly #stream: HttpStream;
  readonly #call: ServerCallState;
  #parts: Uint8Array[] = [];
  #bodyBytes = 0;
  #requestEnded = false;
  #done = false;
  /** Policy let it pass, and is owed its end. */
  readonly #gated: InboundCall | null;
  /** Of the server's timed calls. */
  #timed = NOT_TIMED;
  #stop: (() => void) | null = null;
  #writable: (() => void) | null = null;
  #keepAlive: KeepAlive | null = null;

  constructor(request: RestRequest, stream: HttpStream, { authority, fields }: Head, gated: InboundCall | null) {
    super();
    this.#gated = gated;
    const { environment, method, timeoutMs } = request;
    this.#request = request;
    this.#stream = stream;
    // Waiting at a gate counts.
    const now = gated === null ? environment.clock.now() : gated.startedAt;
    if (timeoutMs !== Number.POSITIVE_INFINITY) environment.wheel.schedule(this, timeoutMs, now);
    this.#call = new ServerCallState(
      method.desc,
      authority,
      fields,
      environment.behindSidecar === true ? peerBehindSidecar(stream.connection.peer, fields) : stream.connection.peer,
      now + timeoutMs,
      environment.clock,
      gated,
    );
    if (gated !== null && gated.addFields !== null) this.#call.headers = [...gated.addFields];
    environment.inFlight.begin();
    if (method.counted) this.#timed = environment.served.begin(request.stream === null);
  }

  // --- from the connection ----------------------------------------------------------------------------------------

  onHead(): void {}

  onData(_stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (end > start) this.#stream.credit(end - start);
    if (this.#done) return;
    const { maxRequestBytes } = this.#request.method.options;
    this.#bodyBytes += end - start;
    if (this.#bodyBytes > maxRequestBytes) {
      this.#bodyBytes -= end - start;
      this.error(tooLarge(maxRequestBytes));
      return;
    }
    if (end > start) {
      try {
        this.#request.environment.buffers.take(end - start);
      } catch (thrown) {
        this.#bodyBytes -= end - start;
        this.error(thrown);
        return;
      }
      this.#parts.push(Buffer.from(chunk.subarray(start, end)));
    }
    if (fin) this.#bodyComplete();
  }

  onTrailers(): void {
    if (!this.#done) this.#bodyComplete();
  }

  noBody(): void {
    this.#bodyComplete();
  }

  onReset(_stream: HttpStream, failure: StreamFailure): void {
    this.#requestEnded = true;
    this.#close(new WeftError("cancelled", `the caller went away: ${failure.message}`, { reason: "CALLER_GONE" }));
  }

  onWritable(): void {
    const resolve = this.#writable;
    this.#writable = null;
    resolve?.();
  }

  /** The deadline passed. */
  override fire(): void {
    this.error(
      new WeftError(
        "deadline_exceeded",
        `${this.#request.name} took longer than its deadline of ${Math.round(this.#request.timeoutMs)} ms`,
        { reason: "DEADLINE_EXCEEDED" },
      ),
    );
  }

  // --- the call ---------------------------------------------------------------------------------------------------

  #bodyComplete(): void {
    this.#requestEnded = true;
    const body = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    const encoding = (fieldOf(this.#call.fields, "content-encoding") ?? "identity").toLowerCase();
    if (encoding === "identity" || body.length === 0) this.#run(body);
    else if (encoding === "gzip") {
      const { maxRequestBytes } = this.#request.method.options;
      gunzip(body, { maxOutputLength: maxRequestBytes }, (error, plain) => {
        if (error === null) this.#run(plain);
        else if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE")
          this.error(tooLarge(maxRequestBytes));
        else
          this.error(
            new WeftError("invalid_argument", `the body is no valid gzip: ${error.message}`, {
              reason: "BAD_COMPRESSION",
              cause: error,
            }),
          );
      });
    } else {
      this.error(
        new WeftError(
          "invalid_argument",
          `content-encoding "${encoding.slice(0, 40)}" is not supported; send gzip or none`,
          { reason: "UNSUPPORTED_MEDIA_TYPE" },
        ),
      );
    }
  }

  #run(body: Uint8Array): void {
    if (this.#done) return;
    const { binding, environment, method, query, stream, variables } = this.#request;
    try {
      const message = requestToMessage(
        binding,
        variables,
        query,
        body,
        fieldOf(this.#call.fields, "content-type") ?? "",
      );
      const respond = (answer: unknown) => {
        if (stream === null) this.#answer(answer);
        else this.#stop = pump(answer, this);
      };
      environment.scope.run(this.#call, () => {
        const answer = method.invoke(message, this.#call);
        if (isThenable(answer)) {
          const gated = this.#gated;
          gated?.working();
          answer.then(
            (value) => {
              gated?.idle();
              respond(value);
            },
            (thrown) => {
              gated?.idle();
              this.error(thrown);
            },
          );
        } else respond(answer);
      });
    } catch (thrown) {
      this.error(thrown);
    }
  }

  #answer(init: unknown): void {
    if (this.#done) return;
    try {
      const { binding, method, safe } = this.#request;
      const content = encodeResponse(() => messageToResponse(binding, complete(method, init)), method.path);
      const fields = this.#responseFields();
      if (content.contentType !== "") fields.push("content-type", content.contentType);
      let { body } = content;
      let status = 200;
      if (safe) {
        const conditional = conditionalAnswer(fieldOf(this.#call.fields, "if-none-match"), fields, body);
        status = conditional.status;
        body = conditional.body;
        fields.push(...conditional.fields);
      }
      if (body.length < GZIP_FROM_BYTES || !isText(content.contentType) || fields.includes("content-encoding"))
        this.#send(status, fields, body);
      else {
        fields.push("vary", "accept-encoding");
        if (!this.#request.gzip) this.#send(status, fields, body);
        else {
          fields.push("content-encoding", "gzip");
          if (body.length <= GZIP_AT_ONCE_BYTES) this.#send(status, fields, gzipSync(body, { level: 1 }));
          else
            gzipAsync(body, { level: 1 }, (error, packed) =>
              error === null ? this.#send(status, fields, packed) : this.error(error),
            );
        }
      }
    } catch (thrown) {
      this.error(thrown);
    }
  }

  #send(status: number, fields: string[], body: Uint8Array): void {
    if (this.#done) return;
    const { withoutBody } = this.#request;
    if (status !== 304) fields.push("content-length", String(body.length));
    this.#call.headSent = true;
    const send = body.length > 0 && !withoutBody;
    this.#stream.sendHead(responseHead(status, fields), null, !send);
    if (send) this.#stream.sendData(body, 0, body.length, true);
    this.#finish(null);
  }

  /** Headers that the handler set, and its trailers as headers. */
  #responseFields(): string[] {
    const { headers, trailers } = this.#call;
    const fields = headers === null ? [] : [...headers];
    for (let i = 0; trailers !== null && i < trailers.length; i += 2)
      fields.push(`trailer-${trailers[i]}`, trailers[i + 1]);
    const { load } = this.#request;
    if (load !== null) fields.push(LOAD_REPORT_FIELD, load.text());
    return fields;
  }

  // --- ResponseWriter ---------------------------------------------------------------------------------------------

  get closed(): boolean {
    return this.#done;
  }

  write(init: unknown): boolean {
    const { method } = this.#request;
    const encoder = this.#request.stream as StreamEncoder;
    const message = encodeResponse(() => complete(method, init), method.path);
    const bytes = encodeResponse(() => encoder.message(message), method.path);
    if (!this.#call.headSent) this.#startStream(message);
    if (this.#request.withoutBody) {
      // HEAD: the head is all that was asked for.
      this.#close(new WeftError("cancelled", "a HEAD request wants no body", { reason: "HEAD_ONLY" }));
      return true;
    }
    return this.#stream.sendData(bytes, 0, bytes.length, false);
  }

  writable(): Promise<void> {
    return new Promise((resolve) => {
      this.#writable = resolve;
    });
  }

  end(): void {
    if (this.#done) return;
    if (!this.#call.headSent) this.#startStream(null);
    if (!this.#request.withoutBody) this.#stream.sendData(NOTHING, 0, 0, true);
    this.#finish(null);
  }

  /** Answers with an error; the one place where errors become REST responses. */
  error(thrown: unknown): void {
    if (this.#done) return;
    const error = toWeftError(thrown);
    if (error.reason === "UNHANDLED") this.#request.environment.onError(error, this.#call);
    if (this.#call.headSent) {
      const bytes = (this.#request.stream as StreamEncoder).error(error);
      this.#stream.sendData(bytes, 0, bytes.length, true);
    } else {
      this.#call.headSent = true;
      const problem = problemResponse(error);
      const added = this.#gated?.addFields ?? [];
      const fields = [
        ...problem.fields,
        ...added,
        "cache-control",
        "no-store",
        "content-length",
        String(problem.body.length),
      ];
      this.#stream.sendHead(responseHead(problem.status, fields), null, this.#request.withoutBody);
      if (!this.#request.withoutBody) this.#stream.sendData(problem.body, 0, problem.body.length, true);
    }
    this.#close(error);
  }

  #startStream(first: Message | null): void {
    this.#call.headSent = true;
    const fields = this.#call.headers === null ? [] : [...this.#call.headers];
    const contentType = (this.#request.stream as StreamEncoder).contentType(first);
    if (contentType !== "") fields.push("content-type", contentType);
    if (!fields.includes("cache-control")) fields.push("cache-control", "no-store");
    this.#stream.sendHead(responseHead(200, fields), null, this.#request.withoutBody);
    const { environment, stream, withoutBody } = this.#request;
    if (withoutBody || stream === null || stream.keepAlive === null) return;
    this.#keepAlive = new KeepAlive(this.#stream, stream.keepAlive, environment.wheel);
  }

  #close(reason: WeftError): void {
    if (this.#done) return;
    this.#call.cancel(reason);
    this.#finish(reason);
    this.onWritable();
    this.#stop?.();
  }

  #finish(failure: WeftError | null): void {
    this.#done = true;
    this.#parts = [];
    const { environment, method } = this.#request;
    const { buffers, inFlight, served, wheel } = environment;
    buffers.take(-this.#bodyBytes);
    this.#bodyBytes = 0;
    wheel.cancel(this);
    this.#keepAlive?.stop();
    if (!this.#requestEnded) this.#stream.reset(0);
    if (method.counted) served.end(this.#timed, failure);
    inFlight.end();
    if (this.#gated !== null) {
      if (failure?.reason === "CALLER_GONE") this.#gated.gone();
      else this.#gated.ended(failure === null || failure.reason === "HEAD_ONLY" ? 200 : httpStatusOf(failure), -1);
    }
  }
}

/** Whether an Accept-Encoding field takes gzip. */
export function acceptsGzip(acceptEncoding: string): boolean {
  return acceptEncoding
    .toLowerCase()
    .split(",")
    .some((coding) => {
      const [name, ...params] = coding.split(";").map((part) => part.trim());
      return name === "gzip" && !params.some((param) => /^q=0(\.0*)?$/.test(param));
    });
}

/** JSON needs every field; handlers may leave out those at their default. */
function complete(method: BoundMethod, init: unknown): Message {
  return create(method.desc.output, init as never);
}

function encodeResponse<T>(encode: () => T, path: string): T {
  try {
    return encode();
  } catch (cause) {
    throw badResponse(path, cause);
  }
}

function tooLarge(maxBytes: number): WeftError {
  return new WeftError("resource_exhausted", `the body has more than ${maxBytes} bytes (maxRequestBytes)`, {
    reason: "MESSAGE_TOO_LARGE",
  });
}

function isText(contentType: string): boolean {
  return /^(?:text\/|application\/(?:json|[\w.+-]*\+json|xml|javascript))/.test(contentType);
}

const NOTHING = new Uint8Array(0);
/** Below this a compressed body saves no packet. */
const GZIP_FROM_BYTES = 1400;
const GZIP_AT_ONCE_BYTES = 32 * 1024;
