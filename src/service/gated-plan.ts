import type { Inbound, InboundCall, InboundTarget } from "../call/inbound.ts";
import { sendLocalResponse } from "../call/local-response.ts";
import { toWeftError } from "../core/errors.ts";
import { isRequestId } from "../core/request-id.ts";
import type { CallContext, CallRequest, LocalResponse } from "../policy/call.ts";
import type { Head } from "../wire/head.ts";
import type { HttpStream, StreamSink } from "../wire/stream.ts";
import type { BufferBudget } from "./buffer-budget.ts";
import type { RequestPlan } from "./dispatch.ts";
import type { BoundMethod } from "./method.ts";
import { isStreaming } from "./method.ts";
import { discardBody } from "./rejection.ts";

/** The gates that a server's calls have to pass, with the name of the service that policies know it by. */
export interface InboundGates {
  readonly inbound: Inbound;
  readonly service: string;
}

/**
 * A plan whose calls pass policy's gates first. Whether there are any is looked up once a head and set of resources: without gates a call costs one comparison
 * more.
 */
export class GatedPlan implements RequestPlan {
  readonly #inner: RequestPlan;
  readonly #gates: InboundGates;
  readonly #buffers: BufferBudget;
  /** What policy decides on: the gRPC method. */
  readonly #request: CallRequest;
  /** For REST: what the caller sent. */
  readonly #asSent: CallRequest | null;
  readonly #timeoutMs: number;
  readonly #requestId: string;
  readonly #streams: boolean;
  #generation = -1;
  #gated = false;

  constructor(
    inner: RequestPlan,
    gates: InboundGates,
    buffers: BufferBudget,
    method: BoundMethod,
    head: Head,
    timeoutMs: number,
    grpc: boolean,
  ) {
    this.#inner = inner;
    this.#gates = gates;
    this.#buffers = buffers;
    const sent = requestOf(head, head.path);
    this.#request = grpc ? sent : requestOf(head, method.path);
    this.#asSent = grpc ? null : sent;
    this.#timeoutMs = timeoutMs;
    this.#requestId = requestIdOf(head.fields);
    const { request, response } = isStreaming(method.kind);
    this.#streams = request || response;
  }

  start(stream: HttpStream, head: Head, fin: boolean): void {
    const { inbound, service } = this.#gates;
    const { generation } = inbound.policy;
    if (generation !== this.#generation) {
      this.#generation = generation;
      this.#gated = inbound.policy.hasGates(this.#request, { service, asSent: this.#asSent, place: "server" });
    }
    if (!this.#gated) {
      this.#inner.start(stream, head, fin, null);
      return;
    }
    const now = inbound.clock.now();
    const { address, identity, secure } = stream.connection.peer;
    const context: CallContext = {
      place: "server",
      service,
      asSent: this.#asSent,
      peerAddress: address,
      peerIdentity: identity,
      secure,
      deadline: now + this.#timeoutMs,
      callerAttempt: 0,
      streams: this.#streams,
      requestId: this.#requestId,
    };
    const held = new HeldRequest(this.#inner, this.#buffers, this.#asSent === null, stream, head, fin);
    stream.sink = held;
    held.began(inbound.begin(this.#request, context, !fin, now, held));
  }
}

/**
 * A request while its gates decide. What comes of its body is kept uncredited, so that it is bounded by the stream's window, and taken from the server's
 * budget.
 */
class HeldRequest implements InboundTarget, StreamSink {
  readonly #inner: RequestPlan;
  readonly #buffers: BufferBudget;
  readonly #grpc: boolean;
  readonly #stream: HttpStream;
  readonly #head: Head;
  /** The request had no body to begin with. */
  readonly #fin: boolean;
  #call: InboundCall | null = null;
  #body: Uint8Array[] = [];
  #ended = false;

  constructor(inner: RequestPlan, buffers: BufferBudget, grpc: boolean, stream: HttpStream, head: Head, fin: boolean) {
    this.#inner = inner;
    this.#buffers = buffers;
    this.#grpc = grpc;
    this.#stream = stream;
    this.#head = head;
    this.#fin = fin;
  }

  began(call: InboundCall): void {
    this.#call = call;
  }

  // --- from policy ------------------------------------------------------------------------------------------------

  accepted(call: InboundCall): void {
    const stream = this.#stream;
    const body = this.#release();
    this.#inner.start(stream, this.#head, this.#fin, call);
    const { sink } = stream;
    for (const [i, chunk] of body.entries())
      sink.onData(stream, chunk, 0, chunk.length, this.#ended && i === body.length - 1);
    if (this.#ended && body.length === 0) sink.onTrailers(stream, this.#head);
  }

  refused(response: LocalResponse): void {
    const stream = this.#stream;
    const body = this.#release();
    if (stream.closed) return;
    if (!this.#fin && !this.#ended) {
      discardBody(stream);
      for (const { length } of body) stream.credit(length);
    }
    const caller = { grpc: this.#grpc, headOnly: this.#head.method === "HEAD" };
    sendLocalResponse(stream, response, caller, null);
  }

  // --- from the connection ----------------------------------------------------------------------------------------

  onHead(): void {}

  onData(_stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (fin) this.#ended = true;
    if (end <= start) return;
    try {
      this.#buffers.take(end - start);
    } catch (thrown) {
      this.#call?.gone();
      this.#stream.credit(end - start);
      this.refused({ error: toWeftError(thrown), status: 429, fields: [], body: null });
      return;
    }
    this.#body.push(Buffer.from(chunk.subarray(start, end)));
  }

  onTrailers(): void {
    this.#ended = true;
  }

  onReset(): void {
    this.#release();
    this.#call?.gone();
  }

  #release(): Uint8Array[] {
    const body = this.#body;
    this.#body = [];
    this.#buffers.take(-body.reduce((sum, { length }) => sum + length, 0));
    return body;
  }

  onWritable(): void {}
}

function requestOf({ method, scheme, authority, protocol, fields }: Head, path: string): CallRequest {
  return { method, scheme, authority, path, protocol, fields, memo: null };
}

function requestIdOf(fields: readonly string[]): string {
  for (let i = 0; i < fields.length; i += 2)
    if (fields[i] === "x-request-id") return isRequestId(fields[i + 1]) ? fields[i + 1] : "";
  return "";
}
