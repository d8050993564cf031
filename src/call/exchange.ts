import type { CallContext, Decision, LocalResponse } from "../policy/call.ts";
import type { Head } from "../wire/head.ts";
import type { HttpStream, StreamFailure, StreamSink } from "../wire/stream.ts";
import type { LocalBody } from "./local-body.ts";
import { sendAbort, sendLocalResponse } from "./local-response.ts";
import { requestTrailers } from "./request-trailers.ts";
import type { CarriedCall, Carrier, Downstream } from "./types.ts";
import { upgradeResponse } from "./upgrade.ts";
import { factsOf } from "./upstream-head.ts";
import { withoutLoad } from "./without-load.ts";

/** What the owner of a listener adds to the exchanges that it passes through. One object for all of them. */
export interface ExchangeHooks {
  /** What servers report of their load goes on to the caller, who balances by it. Default false: it is nothing for outside. */
  readonly passesLoad?: boolean;
  /**
   * The head of a short answer waits for its body's first bytes, so that an upstream that is lost between the two is an answer of its own (502), which a caller may
   * act on, instead of one that breaks off. Many servers write them apart, some 40 ms apart (Nagle's algorithm and delayed acknowledgements). Default false.
   */
  readonly holdsHeads?: boolean;
  /** Further fields for the head of the response (request id, decision id), flat; null for none. Called once an exchange. */
  responseFields?(exchange: Exchange): readonly string[] | null;
  /** The exchange is over, for logs and metrics. */
  onEnd?(exchange: Exchange, decision: Decision): void;
}

/**
 * Passes one exchange of a server's stream through to an upstream, as policy decides: gRPC and HTTP, HTTP/1.1 and HTTP/2 either side. Call it
 * inside RequestHandler.onRequest. `extra` are further request fields (see Carrier.begin).
 */
export function carryExchange(
  carrier: Carrier,
  stream: HttpStream,
  head: Head,
  fin: boolean,
  context: CallContext,
  extra: readonly string[] | null = null,
  hooks: ExchangeHooks | null = null,
): Exchange {
  const exchange = new Exchange(stream, head, context, fin, hooks);
  stream.sink = new RequestSide(exchange);
  exchange.begin(carrier, extra);
  return exchange;
}

/** The response's side of a passed-through exchange, and what is known about the whole. */
export class Exchange implements Downstream {
  readonly stream: HttpStream;
  readonly request: Head;
  readonly context: CallContext;
  /** Status sent, 0 while none was. */
  status = 0;
  requestBytes = 0;
  responseBytes = 0;
  readonly #hooks: ExchangeHooks | null;
  #call: CarriedCall | null = null;
  #requestEnded: boolean;
  #ended = false;
  /** Request bytes taken but not credited, since the upstream is slow; response bytes likewise, since the caller is. */
  #owedRequest = 0;
  #requestBlocked = false;
  #owedResponse = 0;
  #dropped = 0;
  #heldHead: Head | null = null;
  /** What the caller has not taken yet of an answer of our own. */
  #rest: LocalBody | null = null;
  #responseBlocked = false;

  constructor(stream: HttpStream, request: Head, context: CallContext, fin: boolean, hooks: ExchangeHooks | null) {
    this.stream = stream;
    this.request = request;
    this.context = context;
    this.#requestEnded = fin && request.protocol === "";
    this.#hooks = hooks;
  }

  begin(carrier: Carrier, extra: readonly string[] | null): void {
    const call = carrier.begin(this.request, extra, this.context, this, this.#requestEnded);
    if (!this.#ended) this.#call = call;
  }

  // --- request side (called by RequestSide) -------------------------------------------------------------------

  requestData(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    const bytes = end - start;
    this.requestBytes += bytes;
    if (fin) this.#requestEnded = true;
    const call = this.#call;
    if (call === null) {
      this.#unread(bytes);
      return;
    }
    if (call.data(chunk, start, end, fin)) {
      if (bytes > 0 && !fin) this.stream.credit(bytes);
    } else {
      this.#owedRequest += bytes;
      this.#requestBlocked = true;
    }
  }

  requestTrailers(head: Head): void {
    this.#requestEnded = true;
    const passed = requestTrailers(head);
    if (passed.fields.length > 0) this.#call?.trailers(passed);
    else this.#call?.data(NOTHING, 0, 0, true);
  }

  requestReset(): void {
    this.#requestEnded = true;
    this.#call?.cancel();
  }

  responseWritable(): void {
    if (this.#rest?.send()) this.#rest = null;
    if (!this.#responseBlocked) return;
    this.#responseBlocked = false;
    const owed = this.#owedResponse;
    this.#owedResponse = 0;
    if (owed > 0) this.#call?.credit(owed);
  }

  // --- Downstream ---------------------------------------------------------------------------------------------

  onHead(head: Head, fin: boolean): void {
    const status = head.status;
    if (status < 200 && status !== 101) {
      if (this.stream.connection.version !== "1.0") this.stream.sendHead(head, null, false);
      return;
    }
    if (!fin && this.#hooks?.holdsHeads === true && isShort(head) && this.request.protocol === "") {
      this.#heldHead = head;
      return;
    }
    this.#sendHead(head, fin);
  }

  #sendHead(head: Head, fin: boolean): void {
    const { status } = head;
    const extra = this.#responseFields();
    if (this.request.protocol === "") this.status = status;
    else {
      head = upgradeResponse(head, this.request, this.stream.connection.version);
      this.status = head.status;
    }
    this.stream.sendHead(this.#hooks?.passesLoad === true ? head : withoutLoad(head), extra, fin);
  }

  onData(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    const bytes = end - start;
    this.responseBytes += bytes;
    if (this.#heldHead !== null) this.#sendHeld();
    const writable = this.stream.sendData(chunk, start, end, fin);
    if (fin || bytes === 0) return;
    if (writable && !this.#responseBlocked) this.#call?.credit(bytes);
    else {
      this.#owedResponse += bytes;
      if (!writable) this.#responseBlocked = true;
    }
  }

  #sendHeld(): void {
    const head = this.#heldHead as Head;
    this.#heldHead = null;
    this.#sendHead(head, false);
  }

  onTrailers(head: Head): void {
    if (this.#heldHead !== null) this.#sendHeld();
    this.stream.sendTrailers(this.#hooks?.passesLoad === true ? head : withoutLoad(head), null);
  }

  onLocal(response: LocalResponse): void {
    const caller = { grpc: factsOf(this.request).grpc, headOnly: this.request.method === "HEAD" };
    this.status = response.status;
    this.status = sendLocalResponse(this.stream, response, caller, this.#responseFields(), (rest) => {
      this.#rest = rest;
    });
  }

  onAbort(response: LocalResponse): void {
    if (this.#heldHead !== null) {
      this.#heldHead = null;
      this.onLocal(response);
      return;
    }
    sendAbort(this.stream, response, this.request.protocol === "" && factsOf(this.request).grpc);
  }

  onWritable(): void {
    if (!this.#requestBlocked) return;
    this.#requestBlocked = false;
    const owed = this.#owedRequest;
    this.#owedRequest = 0;
    if (owed > 0) this.stream.credit(owed);
  }

  onEnd(decision: Decision): void {
    this.#ended = true;
    this.#call = null;
    // A response that is complete while the request is not: the caller is told to stop sending. Over HTTP/1.1 that would cost the connection,
    // so a little is read and dropped first.
    if (!this.#requestEnded && !this.stream.closed && this.#rest === null) {
      if (this.stream.connection.version === "2" || this.status === 0) this.stream.reset(NO_ERROR);
      else this.#unread(this.#owedRequest);
    }
    this.#hooks?.onEnd?.(this, decision);
  }

  /** Request bytes that nobody wants any more. */
  #unread(bytes: number): void {
    if (!this.#ended || this.#requestEnded || this.stream.closed) return;
    this.#dropped += bytes;
    if (this.#dropped > MAX_DROPPED_BYTES) this.stream.reset(NO_ERROR);
    else if (bytes > 0) this.stream.credit(bytes);
  }

  #responseFields(): readonly string[] | null {
    return this.#hooks?.responseFields?.(this) ?? null;
  }
}

/** Hears the caller. Apart from Exchange, since both sides of a call have an onData. */
class RequestSide implements StreamSink {
  readonly exchange: Exchange;

  constructor(exchange: Exchange) {
    this.exchange = exchange;
  }

  onHead(): void {} // a server's head comes with onRequest

  onData(_stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    this.exchange.requestData(chunk, start, end, fin);
  }

  onTrailers(_stream: HttpStream, head: Head): void {
    this.exchange.requestTrailers(head);
  }

  onReset(_stream: HttpStream, _failure: StreamFailure): void {
    this.exchange.requestReset();
  }

  onWritable(): void {
    this.exchange.responseWritable();
  }
}

/** Of a body that one read brings, as a rule. */
function isShort({ fields }: Head): boolean {
  for (let i = 0; i < fields.length; i += 2)
    if (fields[i] === "content-length") return fields[i + 1].length <= SHORT_DIGITS;
  return false;
}

/** Below 100,000 bytes. */
const SHORT_DIGITS = 5;
const NO_ERROR = 0;
const MAX_DROPPED_BYTES = 65_536;

const NOTHING = new Uint8Array(0);
