import type { LocalBody } from "../call/local-body.ts";
import { sendAbort, sendLocalResponse } from "../call/local-response.ts";
import type { CarriedCall, Carrier, Downstream } from "../call/types.ts";
import { conditionalAnswer } from "../contract/conditional.ts";
import { messageField } from "../contract/message-field.ts";
import type { Message } from "../contract/runtime.ts";
import { scratch } from "../contract/scratch.ts";
import { codeOfHttpStatus, errorFromTrailers } from "../contract/status.ts";
import { messageToResponse, requestToMessage } from "../contract/transcode.ts";
import { type StreamEncoder, streamEncoder } from "../contract/transcode-stream.ts";
import type { Clock } from "../core/clock.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import { LOAD_REPORT_FIELD } from "../policy/balance/load-report.ts";
import type { BodyStore, CallContext, Decision, LocalResponse } from "../policy/call.ts";
import type { BufferBudget } from "../service/buffer-budget.ts";
import { PREFIX_BYTES, writeMessagePrefix } from "../wire/grpc/message-prefix.ts";
import { MessageReader, type MessageSink } from "../wire/grpc/message-reader.ts";
import { type Head, responseHead } from "../wire/head.ts";
import type { HttpStream } from "../wire/stream.ts";
import type { CallEnd } from "./call-end.ts";
import { GatheredBody } from "./gathered-body.ts";
import type { RestCall } from "./rest.ts";
import { type RestCaller, RestRequestBody } from "./rest-request-body.ts";

/** What all transcoded calls of a gateway share. */
export type Transcode = typeof transcode;

export interface TranscodeOptions {
  carrier: Carrier;
  clock: Clock;
  /** Largest request body, and largest response message. Default 4 MiB (gRPC's): over it 413, or 500 with RESPONSE_TOO_LARGE. */
  maxMessageBytes: number;
  /** What the bodies that are being gathered may hold together. */
  readonly buffers: BufferBudget;
  /** Fields added to every response (request id), flat. */
  responseFields(context: CallContext): readonly string[] | null;
  /** The answer is complete, or was given up; also of requests that were refused before there was a call. */
  onEnd(request: Head, context: CallContext, end: CallEnd): void;
}

/**
 * Serves a REST request by a gRPC call: gathers the body, makes the message, calls, and writes the answer as the binding says.
 *
 *     request body ... fin -> message -> carrier.begin -> head -> frame(s) -> trailers -> response (unary: at the trailers; stream: as they come)
 */
export function transcode(
  rest: RestCall,
  options: TranscodeOptions,
  stream: HttpStream,
  request: Head,
  fin: boolean,
  context: CallContext,
  extra: readonly string[],
): void {
  const call = new TranscodedCall(rest, options, stream, request, context, extra);
  stream.sink = new RestRequestBody(call);
  if (rest.method.clientStreaming)
    call.refuse(
      new WeftError(
        "unimplemented",
        `${rest.method.path} takes a stream, which a REST request cannot carry; call it over gRPC`,
        { reason: "CLIENT_STREAM_OVER_REST" },
      ),
    );
  else if (fin) call.send();
}

class TranscodedCall implements Downstream, MessageSink, RestCaller {
  readonly stream: HttpStream;
  readonly #rest: RestCall;
  readonly #options: TranscodeOptions;
  readonly #request: Head;
  readonly #context: CallContext;
  readonly #extra: readonly string[];
  readonly #reader: MessageReader;
  #call: CarriedCall | null = null;
  readonly #body: GatheredBody;
  /** The response is complete, or was given up: nothing more is sent. */
  #answered = false;
  #ended = false;
  /** Status sent to the caller; 499 for one who went away before there was any. */
  #status = 499;
  readonly #startedAt: number;
  /** The upstream head's fields that go on to the caller. */
  #fields: readonly string[] = [];
  /** Unary: the answer, until the trailers say that it is one. */
  #message: Message | null = null;
  /** Streaming: what writes the messages; null for unary methods. */
  readonly #encoder: StreamEncoder | null;
  #headSent = false;
  /** What the caller has not taken yet of an answer of our own. */
  #unsent: LocalBody | null = null;
  /** Where a copy of the answer goes; null when nobody wants one, or once it is complete. */
  #store: BodyStore | null = null;
  /** Response bytes of the upstream not yet credited, since the caller is slow. */
  #owed = 0;

  constructor(
    rest: RestCall,
    options: TranscodeOptions,
    stream: HttpStream,
    request: Head,
    context: CallContext,
    extra: readonly string[],
  ) {
    this.#rest = rest;
    this.#options = options;
    this.stream = stream;
    this.#request = request;
    this.#context = context;
    this.#extra = extra;
    this.#body = new GatheredBody(options.maxMessageBytes, options.buffers);
    this.#startedAt = options.clock.now();
    this.#reader = new MessageReader(options.maxMessageBytes);
    this.#encoder = rest.method.serverStreaming
      ? streamEncoder(rest.binding, fieldOf(request.fields, "accept") ?? "")
      : null;
  }

  // --- the request (RestCaller) --------------------------------------------------------------------------------

  gather(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (this.#answered) return;
    try {
      this.#body.add(chunk, start, end);
    } catch (thrown) {
      return this.refuse(toWeftError(thrown));
    }
    if (fin) this.send();
    else this.stream.credit(end - start);
  }

  /** The body is complete: makes the message and calls. */
  send(): void {
    const { binding, variables, query, input, head } = this.#rest;
    let end: number;
    let context = this.#context;
    try {
      const message = requestToMessage(
        binding,
        variables,
        query,
        this.#body.bytes(),
        fieldOf(this.#request.fields, "content-type") ?? "",
      );
      end = input.encodeScratch(message, PREFIX_BYTES);
      if (this.#options.carrier.readsMessages)
        context = { ...context, messageField: (path) => messageField(message, path) };
    } catch (thrown) {
      return this.refuse(toWeftError(thrown));
    } finally {
      this.#body.release();
    }
    const { bytes } = scratch;
    writeMessagePrefix(bytes, 0, end - PREFIX_BYTES, false);
    const call = this.#options.carrier.begin(head, this.#extra, context, this, false);
    if (this.#ended) return; // policy answered at once
    this.#call = call;
    call.data(bytes, 0, end, true);
  }

  /** Answers with an error of our own; a call that runs is cancelled. */
  refuse(error: WeftError): void {
    this.#body.release();
    this.#answerLocally({ error, status: 0, fields: [], body: null });
    if (this.#call !== null) this.#call.cancel();
    else this.#endWithoutCall(error.reason);
  }

  gone(): void {
    this.#body.release();
    this.#answered = true;
    if (this.#call !== null) this.#call.cancel();
    else this.#endWithoutCall("CALLER_GONE");
  }

  /** Nothing was sent upstream, so no decision tells of it. */
  #endWithoutCall(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const durationMs = this.#options.clock.now() - this.#startedAt;
    const outcome = { status: this.#status, grpcStatus: -1, reason };
    this.#report({
      requestId: this.#context.requestId,
      service: this.#rest.service,
      durationMs,
      attempts: [],
      outcome,
    });
  }

  #report(end: CallEnd): void {
    this.#options.onEnd(this.#request, this.#context, end);
  }

  writable(): void {
    if (this.#unsent?.send()) this.#unsent = null;
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0 && !this.#ended) this.#call?.credit(owed);
  }

  // --- the answer (Downstream) ------------------------------------------------------------------------------------

  takeStore(store: BodyStore): void {
    if (this.#encoder === null) this.#store = store;
    else store.abort(); // a stream is not kept
  }

  onHead(head: Head, fin: boolean): void {
    if (head.status < 200) return;
    this.#fields = answerFields(head.fields);
    if (fin) return this.#finish(head.fields);
    const type = fieldOf(head.fields, "content-type") ?? "";
    if (head.status !== 200 || !type.startsWith("application/grpc")) {
      const code = head.status === 200 ? "internal" : codeOfHttpStatus(head.status);
      this.refuse(
        new WeftError(
          code,
          `${this.#rest.service} answered ${head.status} ${type || "without a content type"}, which is not gRPC`,
          { reason: "NOT_GRPC" },
        ),
      );
    }
  }

  onData(chunk: Uint8Array, start: number, end: number, _fin: boolean): void {
    if (this.#answered) return;
    try {
      this.#reader.read(chunk, start, end, this);
    } catch (thrown) {
      return this.refuse(toWeftError(thrown));
    }
    if (this.stream.bufferedBytes > HIGH_WATER) this.#owed += end - start;
    else if (!this.#ended) this.#call?.credit(end - start);
  }

  onMessage(bytes: Uint8Array, start: number, end: number, compressed: boolean): void {
    if (this.#answered) return;
    if (compressed)
      throw new WeftError("internal", `${this.#rest.service} compressed its answer, which was not asked for`, {
        reason: "BAD_COMPRESSION",
      });
    const message = this.#rest.output.decode(bytes, start, end);
    if (this.#encoder !== null) this.#write(this.#encoder, message);
    else if (this.#message === null) this.#message = message;
    else
      throw new WeftError("internal", `${this.#rest.method.path} answered with more than one message`, {
        reason: "BAD_CARDINALITY",
      });
  }

  onTrailers(head: Head): void {
    this.#finish(head.fields);
  }

  onLocal(response: LocalResponse): void {
    this.#answerLocally(response);
  }

  onAbort(response: LocalResponse): void {
    if (this.#answered) return;
    if (!this.#headSent) return this.#answerLocally(response);
    this.#answered = true;
    sendAbort(this.stream, response, false);
  }

  onWritable(): void {} // the request is one frame, handed over whole

  onEnd(decision: Decision): void {
    this.#ended = true;
    this.#call = null;
    this.#store?.abort();
    this.#store = null;
    const { requestId, service, durationMs, attempts, outcome } = decision;
    this.#report({
      requestId,
      service,
      durationMs,
      attempts,
      outcome: { status: this.#status, grpcStatus: -1, reason: outcome.reason },
    });
  }

  /** The gRPC call is over, as these fields say. */
  #finish(trailers: readonly string[]): void {
    if (this.#answered) return;
    const error = errorFromTrailers(trailers);
    const encoder = this.#encoder;
    if (encoder !== null && (this.#headSent || error === null)) {
      if (!this.#headSent) this.#sendHead(encoder.contentType(null));
      this.#answered = true;
      const last = error === null ? NOTHING : encoder.error(error);
      this.stream.sendData(last, 0, last.length, true);
    } else if (error !== null) this.#answerLocally({ error, status: 0, fields: this.#fields, body: null });
    else if (this.#message === null)
      this.refuse(
        new WeftError("internal", `${this.#rest.method.path} ended without an answer`, { reason: "BAD_CARDINALITY" }),
      );
    else this.#sendMessage(this.#message);
  }

  #sendMessage(message: Message): void {
    const { method } = this.#request;
    try {
      const content = messageToResponse(this.#rest.binding, message);
      const safe = method === "GET" || method === "HEAD";
      const answer = safe
        ? conditionalAnswer(fieldOf(this.#request.fields, "if-none-match"), this.#fields, content.body)
        : { status: 200, fields: [], body: content.body };
      const fields = [...this.#fields, ...answer.fields];
      if (this.#store !== null) this.#keep(this.#store, content);
      if (answer.status !== 304) {
        if (content.contentType !== "") fields.push("content-type", content.contentType);
        fields.push("content-length", `${answer.body.length}`);
      }
      const fin = method === "HEAD" || answer.body.length === 0;
      this.#answered = true;
      this.#status = answer.status;
      this.stream.sendHead(responseHead(answer.status, fields), this.#options.responseFields(this.#context), fin);
      if (!fin) this.stream.sendData(answer.body, 0, answer.body.length, true);
    } catch (thrown) {
      this.refuse(toWeftError(thrown));
    }
  }

  /** What is kept is the whole answer, whatever this caller has of it already. */
  #keep(store: BodyStore, { contentType, body }: { contentType: string; body: Uint8Array }): void {
    this.#store = null;
    const { fields } = conditionalAnswer(undefined, this.#fields, body);
    store.head(200, isAnswerField, contentType === "" ? fields : [...fields, "content-type", contentType]);
    store.data(body, 0, body.length);
    store.end();
  }

  #write(encoder: StreamEncoder, message: Message): void {
    if (!this.#headSent) this.#sendHead(encoder.contentType(message));
    if (this.#answered) return; // HEAD
    const bytes = encoder.message(message);
    this.stream.sendData(bytes, 0, bytes.length, false);
  }

  #sendHead(contentType: string): void {
    this.#headSent = true;
    this.#status = 200;
    const only = this.#request.method === "HEAD";
    const fields = contentType === "" ? [...this.#fields] : [...this.#fields, "content-type", contentType];
    this.stream.sendHead(responseHead(200, fields), this.#options.responseFields(this.#context), only);
    if (only) {
      this.#answered = true;
      this.#call?.cancel();
    }
  }

  #answerLocally(response: LocalResponse): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#status = sendLocalResponse(
      this.stream,
      response,
      { grpc: false, headOnly: this.#request.method === "HEAD" },
      this.#options.responseFields(this.#context),
      (rest) => {
        this.#unsent = rest;
      },
    );
  }
}

const NOTHING = new Uint8Array(0);
/** Response bytes that may wait at the caller's side before the upstream is held back. */
const HIGH_WATER = 65_536;

/** The upstream's fields that mean something to the REST caller. */
function answerFields(fields: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) if (isAnswerField(fields[i])) kept.push(fields[i], fields[i + 1]);
  return kept;
}

function isAnswerField(name: string): boolean {
  return (
    !name.startsWith("grpc-") &&
    !name.startsWith("content-") &&
    !name.endsWith("-bin") &&
    name !== "trailer" &&
    name !== LOAD_REPORT_FIELD &&
    name !== "date"
  );
}
