import type { ConnectionHost, ConnectionMachine, ServerMachineOptions } from "../connection.ts";
import { trailersHead } from "../head.ts";
import type { ConnectionLimits } from "../limits.ts";
import type { PeerInfo, RequestHandler } from "../stream.ts";
import { BodyReader, type BodyTarget } from "./body-reader.ts";
import type { HttpDate } from "./date.ts";
import { CR, isTokenChar, LF } from "./grammar.ts";
import type { HeadCache } from "./head-cache.ts";
import { MessageError, NO_ANSWER } from "./message-error.ts";
import { Output } from "./output.ts";
import { problemResponse } from "./problem.ts";
import { parseRequest, type RequestMessage } from "./request-message.ts";
import { Section } from "./section.ts";
import { Http1ServerStream, type ServerStreamOwner } from "./server-stream.ts";
import { startsWith } from "./starts-with.ts";

/** The server's side of an HTTP/1.x connection. `heads` and `date` are shared by the connections of a listener. */
export function createHttp1Server(
  options: ServerMachineOptions,
  heads: HeadCache<RequestMessage>,
  date: HttpDate,
): ConnectionMachine {
  return new Http1Server(options, heads, date);
}

/**
 *     HEAD --head complete--> BODY --body complete--> ANSWERING --response complete--> HEAD (keep-alive) or CLOSED
 *      |                       |  \--response complete first: goes on reading the body
 *      |                       \--101 sent (upgrade; it has no body), or 2xx to CONNECT--> RAW: bytes as they come, both ways --both ended--> CLOSED
 *      \--error--> problem document, CLOSED
 *
 * 1. One exchange at a time: bytes of the next request wait in `#held` (at most what one read brought) and reading stops, so
 *    pipelined requests are answered in order and cost one read chunk.
 * 2. After a response whose request is not complete, the connection is not used again unless the owner lets the request end.
 * 3. A body is read ahead of credit() by at most the stream window, plus one read chunk.
 */
class Http1Server implements ConnectionMachine, BodyTarget, ServerStreamOwner {
  readonly peer: PeerInfo;
  readonly #host: ConnectionHost;
  readonly #limits: Readonly<ConnectionLimits>;
  readonly #handler: RequestHandler;
  readonly #proxy: boolean;
  readonly #heads: HeadCache<RequestMessage>;
  readonly #date: HttpDate;
  readonly output = new Output();
  readonly #section = new Section();
  readonly #body: BodyReader;
  #state = HEAD;
  /** The exchange under way. */
  #stream: Http1ServerStream | null = null;
  #last: RequestMessage | null = null;
  #held: Uint8Array | null = null;
  /** Body bytes handed out and not credited. */
  #uncredited = 0;
  #sawEmptyLine = false;
  #expectsLf = false;
  #served = false;
  #draining = false;
  #peerEnded = false;
  #wantsClose = false;
  /** When the present wait began, by ticks; -1 until the first tick in it. */
  #waitingSince = -1;

  constructor(options: ServerMachineOptions, heads: HeadCache<RequestMessage>, date: HttpDate) {
    this.peer = options.peer;
    this.#host = options.host;
    this.#limits = options.limits;
    this.#handler = options.handler;
    this.#proxy = options.proxy === true;
    this.#heads = heads;
    this.#date = date;
    this.#body = new BodyReader(options.limits, this);
  }

  get version(): "1.0" | "1.1" {
    return this.#last !== null && this.#last.minor === 0 ? "1.0" : "1.1";
  }

  get openStreams(): number {
    return this.#stream === null ? 0 : 1;
  }

  get pendingBytes(): number {
    return this.output.length;
  }

  get wantsClose(): boolean {
    return this.#wantsClose;
  }

  get wantsRead(): boolean {
    return this.#held === null && this.#uncredited < this.#limits.streamWindowBytes;
  }

  // --- from the shell -----------------------------------------------------------------------------------------

  receive(chunk: Uint8Array, start: number, end: number): void {
    if (this.#held !== null) this.#hold(chunk, start, end);
    else this.#consume(chunk, start, end);
  }

  takeOutput(): Uint8Array {
    return this.output.take();
  }

  written(): void {
    this.output.written();
    const stream = this.#stream;
    if (stream?.blocked) {
      stream.blocked = false;
      stream.sink.onWritable(stream);
    }
    if (this.#state !== HEAD) this.#waitingSince = -1;
    if (this.#held !== null && (this.#state === HEAD || this.#state === RAW)) {
      const held = this.#held;
      this.#held = null;
      this.#consume(held, 0, held.length);
      if (this.#peerEnded && this.#state === HEAD && this.#held === null) this.#close();
      this.#host.wake(); // reading may start again
    }
  }

  receiveEnd(): void {
    this.#peerEnded = true;
    this.#waitingSince = -1;
    if (this.#state === RAW) {
      const stream = this.#stream;
      if (stream !== null && !stream.requestDone) {
        stream.requestDone = true;
        if (stream.responseDone) this.#finish(stream);
        stream.sink.onData(stream, NOTHING, 0, 0, true);
      }
    } else if (this.#state === BODY) {
      this.#lose("the client ended the connection before the request was complete");
      this.#close();
    } else if (this.#state === HEAD && this.#held === null) {
      // A head cut short is not worth an answer: whoever sent it has ended.
      this.#close();
    }
    // ANSWERING: the answer still goes out (half-closed clients are rare but right); tick() sees to those that are gone.
  }

  transportClosed(message: string): void {
    this.#state = CLOSED;
    this.#lose(
      message === ""
        ? `connection closed by ${this.peer.address}`
        : `connection to ${this.peer.address} lost: ${message}`,
    );
    this.output.clear();
    this.#held = null;
  }

  tick(now: number): void {
    this.#date.refresh();
    if (this.#wantsClose) return;
    if (this.#waitingSince < 0) {
      this.#waitingSince = now;
      return;
    }
    const waited = now - this.#waitingSince;
    const { headTimeoutMs, idleTimeoutMs } = this.#limits;
    if (this.output.unwritten > 0) {
      if (waited >= idleTimeoutMs) this.close(); // the client does not read
    } else if (this.#state === HEAD) {
      if (this.#section.length > 0) {
        if (waited >= headTimeoutMs) this.#refuse(408, `the request's head did not arrive within ${headTimeoutMs} ms`);
      } else if (this.#draining && this.#served) {
        if (waited >= DRAIN_GRACE_MS) this.#close();
      } else if (waited >= (this.#served ? idleTimeoutMs : headTimeoutMs)) {
        this.#close();
      }
    } else if (this.#state === BODY) {
      if (waited >= idleTimeoutMs && this.wantsRead)
        this.#refuse(408, `no byte of the request's body arrived within ${idleTimeoutMs} ms`);
    } else if (this.#state === ANSWERING && this.#peerEnded && waited >= headTimeoutMs) {
      this.close(); // it has most likely gone; a stream that is only waiting must end some time
    }
  }

  // --- from above ---------------------------------------------------------------------------------------------

  /** An idle connection gets a moment in which a request that is already under way still arrives, then closes (see tick). */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#waitingSince = -1;
    if (this.#stream !== null) this.#stream.keepAlive = false;
  }

  close(): void {
    this.output.clear();
    this.#lose("connection closed by us");
    this.#close();
  }

  // --- reading ------------------------------------------------------------------------------------------------

  #consume(chunk: Uint8Array, start: number, end: number): void {
    try {
      for (let at = start; at < end; ) {
        if (this.#state === HEAD) {
          if (this.output.length > this.#limits.sendHighWaterBytes) {
            this.#hold(chunk, at, end); // pipelined requests with large answers: those first
            break;
          }
          at = this.#readHead(chunk, at, end);
        } else if (this.#state === BODY) {
          this.#waitingSince = -1;
          at = this.#body.read(chunk, at, end);
        } else if (this.#state === RAW) {
          const stream = this.#stream;
          if (stream === null || stream.requestDone) break;
          this.#uncredited += end - at;
          stream.sink.onData(stream, chunk, at, end, false);
          at = end;
        } else {
          if (this.#state === ANSWERING) this.#hold(chunk, at, end);
          break;
        }
      }
    } catch (thrown) {
      if (!(thrown instanceof MessageError)) throw thrown;
      this.#refuse(thrown.status, thrown.message);
    }
    if (!this.wantsRead) this.#host.wake();
  }

  #hold(chunk: Uint8Array, start: number, end: number): void {
    const rest = chunk.subarray(start, end);
    this.#held = this.#held === null ? Buffer.from(rest) : Buffer.concat([this.#held, rest]);
  }

  #readHead(chunk: Uint8Array, start: number, end: number): number {
    if (this.#section.length === 0) {
      const last = this.#last;
      if (last !== null && startsWith(chunk, start, end, last.bytes)) {
        this.#begin(last, start + last.bytes.length < end);
        return start + last.bytes.length;
      }
      const first = chunk[start];
      if (first === CR && !this.#sawEmptyLine) {
        // One empty line before a request line is forgiven (RFC 9112 section 2.2).
        this.#sawEmptyLine = this.#expectsLf = true;
        return start + 1;
      }
      if (this.#expectsLf) {
        if (first !== LF) throw new MessageError(400, "a CR without LF");
        this.#expectsLf = false;
        return start + 1;
      }
      // What cannot be HTTP (a TLS hello, say) is told so at once, not when the head has timed out.
      if (!isTokenChar(first)) throw new MessageError(400, "this is not an HTTP request");
      this.#waitingSince = -1;
    }
    const sectionEnd = this.#section.feed(chunk, start, end, this.#limits.maxHeadBytes);
    if (sectionEnd < 0) return end;
    const text = this.#section.take(chunk, start, sectionEnd);
    let message = this.#heads.get(text);
    if (message === undefined) {
      message = parseRequest(text, this.peer.secure, this.#limits, this.#proxy);
      this.#heads.set(text, message);
    }
    this.#begin(message, sectionEnd < end);
    return sectionEnd;
  }

  #begin(message: RequestMessage, moreCame: boolean): void {
    this.#last = message;
    this.#sawEmptyLine = false;
    this.#served = true;
    this.#waitingSince = -1;
    this.#uncredited = 0;
    const stream = new Http1ServerStream(this, message, this.#draining);
    this.#stream = stream;
    this.#body.begin(message.length);
    const fin = message.length === 0;
    // An upgrade's bytes belong to the new protocol, but not before it is granted: until then they wait.
    this.#state = fin ? ANSWERING : BODY;
    stream.requestDone = fin && !message.tunnel;
    this.#handler.onRequest(stream, message.head, fin && !message.tunnel);
    if (message.expectsContinue && !moreCame && !stream.headSent && !stream.closed) {
      this.output.latin1("HTTP/1.1 100 Continue\r\n\r\n");
      this.#host.wake();
    }
  }

  onBodyData(chunk: Uint8Array, start: number, end: number, last: boolean): void {
    const stream = this.#stream;
    if (stream === null) return;
    const size = end - start;
    this.#uncredited += size;
    if (last) {
      stream.requestDone = true;
      this.#state = ANSWERING;
    }
    stream.sink.onData(stream, chunk, start, end, last);
    this.#afterBody(stream, size);
  }

  onBodyTrailers(fields: string[]): void {
    const stream = this.#stream;
    if (stream === null) return;
    stream.requestDone = true;
    this.#state = ANSWERING;
    stream.sink.onTrailers(stream, trailersHead(fields));
    this.#afterBody(stream, 0);
  }

  #afterBody(stream: Http1ServerStream, size: number): void {
    if (stream.closed || !stream.responseDone) return;
    if (stream.requestDone) {
      this.#finish(stream);
    } else {
      // Reading on may save the connection, but not at any price.
      stream.lateBytes += size;
      if (stream.lateBytes > this.#limits.streamWindowBytes) stream.reset(0);
    }
  }

  // --- from the stream ----------------------------------------------------------------------------------------

  get dateLine(): Uint8Array {
    return this.#date.line;
  }

  get highWaterBytes(): number {
    return this.#limits.sendHighWaterBytes;
  }

  wake(): void {
    this.#host.wake();
  }

  credited(stream: Http1ServerStream, bytes: number): void {
    if (this.#stream !== stream) return;
    const before = this.wantsRead;
    this.#uncredited = Math.max(0, this.#uncredited - bytes);
    if (!before && this.wantsRead) {
      this.#waitingSince = -1;
      this.#host.wake();
    }
  }

  switched(): void {
    this.#state = RAW;
  }

  responseEnded(stream: Http1ServerStream): void {
    if (this.#state === RAW) {
      if (stream.requestDone) this.#finish(stream);
      else this.#close(); // the tunnel's other direction ends with the connection
    } else if (stream.requestDone) {
      this.#finish(stream);
    }
    this.#host.wake();
  }

  /** The exchange ends without a complete response. */
  abandoned(stream: Http1ServerStream): void {
    if (this.#stream === stream) this.#stream = null;
    this.#close();
  }

  #finish(stream: Http1ServerStream): void {
    stream.closed = true;
    this.#stream = null;
    this.#uncredited = 0;
    this.#waitingSince = -1;
    if (this.#state === RAW || !stream.keepAlive || (this.#peerEnded && this.#held === null)) this.#close();
    else this.#state = HEAD;
  }

  /** Answers for a request that cannot be understood, when no answer has begun, and gives the connection up. */
  #refuse(status: number, detail: string): void {
    if (status !== NO_ANSWER && (this.#stream === null || !this.#stream.headSent)) {
      const response = problemResponse(status, detail, this.#date.line);
      this.output.bytes(response, 0, response.length);
    }
    this.#lose(`request refused: ${detail}`, "protocol");
    this.#close();
  }

  #lose(message: string, kind: "connection-lost" | "protocol" = "connection-lost"): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#stream = null;
    stream.closed = true;
    if (this.#state === RAW && stream.responseDone) stream.sink.onData(stream, NOTHING, 0, 0, true);
    else stream.sink.onReset(stream, { kind, code: 0, unprocessed: false, message });
  }

  #close(): void {
    this.#state = CLOSED;
    this.#body.stop();
    this.#section.reset();
    this.#held = null;
    this.#wantsClose = true;
    this.#host.wake();
  }
}

const HEAD = 0;
const BODY = 1;
const ANSWERING = 2;
const RAW = 3;
const CLOSED = 4;

/** How long a drained connection that idles waits for a request that may be under way, ms. */
const DRAIN_GRACE_MS = 250;

const NOTHING = new Uint8Array(0);
