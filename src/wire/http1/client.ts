import { WeftError } from "../../core/errors.ts";
import type { ClientMachine, ClientMachineOptions, ConnectionHost } from "../connection.ts";
import { type Head, trailersHead } from "../head.ts";
import type { ConnectionLimits } from "../limits.ts";
import type { HttpStream, PeerInfo, StreamFailure, StreamSink } from "../stream.ts";
import { BodyReader, type BodyTarget } from "./body-reader.ts";
import { type ClientStreamOwner, Http1ClientStream } from "./client-stream.ts";
import type { HeadCache } from "./head-cache.ts";
import { MessageError } from "./message-error.ts";
import { Output } from "./output.ts";
import { parseResponse, type ResponseMessage } from "./response-message.ts";
import { Section } from "./section.ts";
import { startsWith } from "./starts-with.ts";

/** The client's side of an HTTP/1.1 connection; one exchange at a time. `heads` is shared by the connections of a pool. */
export function createHttp1Client(options: ClientMachineOptions, heads: HeadCache<ResponseMessage>): ClientMachine {
  return new Http1Client(options, heads);
}

/**
 *     IDLE --request()--> HEAD --1xx--> HEAD --final head--> BODY --complete--> IDLE, when the request is complete too and both
 *      |                   |                \--101 (upgrade)--> RAW             sides keep the connection; otherwise CLOSED
 *      \--bytes, FIN or time-out--> CLOSED <-- anything that breaks the rules --/
 *
 * 1. The connection is used again only when request and response are both complete and nothing follows the response.
 * 2. A failure says `unprocessed` only when not one byte of the request was taken by the shell.
 */
class Http1Client implements ClientMachine, BodyTarget, ClientStreamOwner {
  readonly peer: PeerInfo;
  readonly output = new Output();
  readonly #host: ConnectionHost;
  readonly #limits: Readonly<ConnectionLimits>;
  readonly #heads: HeadCache<ResponseMessage>;
  maxStreams = 1;
  readonly #onAvailable: () => void;
  readonly #section = new Section();
  readonly #body: BodyReader;
  #state = IDLE;
  #stream: Http1ClientStream | null = null;
  #last: ResponseMessage | null = null;
  /** The response under way, once its final head is known. */
  #response: ResponseMessage | null = null;
  #untilClose = false;
  #interim = 0;
  #uncredited = 0;
  #draining = false;
  #wantsClose = false;
  #gone = false;
  #keepAliveTimeoutMs = Number.POSITIVE_INFINITY;
  #idleSince = -1;

  constructor(options: ClientMachineOptions, heads: HeadCache<ResponseMessage>) {
    this.peer = options.peer;
    this.#host = options.host;
    this.#limits = options.limits;
    this.#heads = heads;
    this.#onAvailable = options.onAvailable;
    this.#body = new BodyReader(options.limits, this);
  }

  get version(): "1.1" {
    return "1.1";
  }

  get openStreams(): number {
    return this.#stream === null ? 0 : 1;
  }

  get available(): number {
    return this.#state === IDLE && !this.#draining && !this.#wantsClose ? 1 : 0;
  }

  get pendingBytes(): number {
    return this.output.length;
  }

  get wantsClose(): boolean {
    return this.#wantsClose;
  }

  get wantsRead(): boolean {
    return this.#uncredited < this.#limits.streamWindowBytes;
  }

  request(head: Head, extra: readonly string[] | null, fin: boolean, sink: StreamSink): HttpStream {
    if (this.available === 0) {
      throw new WeftError("unavailable", `connection to ${this.peer.address} takes no further request now`, {
        reason: "NO_FREE_STREAM",
        retryable: true,
      });
    }
    const mark = this.output.length;
    const stream = new Http1ClientStream(this, sink, head);
    try {
      stream.writeHead(head, extra, fin);
    } catch (thrown) {
      this.output.rollBack(mark);
      throw thrown;
    }
    this.#stream = stream;
    this.#state = HEAD;
    this.#interim = 0;
    this.#uncredited = 0;
    this.#host.wake();
    return stream;
  }

  // --- from the shell -----------------------------------------------------------------------------------------

  receive(chunk: Uint8Array, start: number, end: number): void {
    try {
      for (let at = start; at < end; ) {
        if (this.#state === HEAD) {
          at = this.#readHead(chunk, at, end);
        } else if (this.#state === BODY) {
          at = this.#body.read(chunk, at, end);
        } else if (this.#state === RAW) {
          const stream = this.#stream;
          if (stream === null || stream.responseDone) break;
          this.#uncredited += end - at;
          stream.sink.onData(stream, chunk, at, end, false);
          at = end;
        } else {
          // Nothing was asked: a response out of turn, or more than one response. Neither can be trusted.
          if (this.#state !== CLOSED) this.#fail(this.#lost("sent bytes that nothing was asked for"));
          break;
        }
      }
    } catch (thrown) {
      if (!(thrown instanceof MessageError)) throw thrown;
      this.#fail({
        kind: "protocol",
        code: 0,
        unprocessed: false,
        message: `${this.peer.address} answered with invalid HTTP: ${thrown.message}`,
      });
    }
    this.#announce();
    if (!this.wantsRead) this.#host.wake();
  }

  takeOutput(): Uint8Array {
    if (this.#stream !== null) this.#stream.sent = true;
    return this.output.take();
  }

  written(): void {
    this.output.written();
    const stream = this.#stream;
    if (stream?.mayContinue) {
      stream.blocked = false;
      stream.sink.onWritable(stream);
    }
  }

  receiveEnd(): void {
    const stream = this.#stream;
    if (stream !== null && !stream.responseDone) {
      if (this.#state === BODY && this.#body.endsWithConnection) {
        this.#body.stop();
        this.#responseEnds(stream, () => stream.sink.onData(stream, NOTHING, 0, 0, true));
      } else if (this.#state === RAW) {
        stream.responseDone = true;
        stream.sink.onData(stream, NOTHING, 0, 0, true);
        if (stream.requestDone && !stream.closed) this.#finish(stream);
        return; // our direction goes on until its owner ends it
      }
    }
    this.#fail(this.#lost("closed the connection before the exchange was complete"));
  }

  transportClosed(message: string): void {
    this.#gone = true;
    const stream = this.#stream;
    const because = message === "" ? "" : `: ${message}`;
    if (this.#state === RAW && stream !== null && stream.requestDone && !stream.responseDone) {
      stream.closed = true;
      this.#stream = null;
      stream.sink.onData(stream, NOTHING, 0, 0, true);
    }
    this.#fail(this.#lost(`is gone: connection lost${because}`));
    this.output.clear();
  }

  tick(now: number): void {
    if (this.#state !== IDLE || this.#wantsClose) return;
    if (this.#idleSince < 0) this.#idleSince = now;
    // A second and a half before the server's own time: its FIN and our next request must not meet.
    const limit = Math.min(this.#limits.idleTimeoutMs, Math.max(0, this.#keepAliveTimeoutMs - 1_500));
    if (now - this.#idleSince >= limit) this.#close();
  }

  // --- from above ---------------------------------------------------------------------------------------------

  drain(): void {
    this.#draining = true;
    if (this.#state === IDLE) this.#close();
  }

  close(): void {
    this.#fail(this.#lost("was cut off: connection closed by us"));
  }

  // --- reading ------------------------------------------------------------------------------------------------

  #readHead(chunk: Uint8Array, start: number, end: number): number {
    const last = this.#last;
    if (this.#section.length === 0 && last !== null && startsWith(chunk, start, end, last.bytes)) {
      this.#begin(last);
      return start + last.bytes.length;
    }
    const sectionEnd = this.#section.feed(chunk, start, end, this.#limits.maxHeadBytes);
    if (sectionEnd < 0) return end;
    const text = this.#section.take(chunk, start, sectionEnd);
    let message = this.#heads.get(text);
    if (message === undefined) {
      message = parseResponse(text, this.#limits);
      this.#heads.set(text, message);
    }
    this.#last = message;
    this.#begin(message);
    return sectionEnd;
  }

  #begin(message: ResponseMessage): void {
    const stream = this.#stream;
    if (stream === null) return;
    const { head } = message;
    if (head.status === 101) {
      if (!message.websocket || stream.request.protocol === "")
        throw new MessageError(502, "status 101 without a matching upgrade");
      this.#state = RAW;
      this.#response = message;
      stream.sink.onHead(stream, head, false);
      if (!stream.closed) stream.switched();
      return;
    }
    if (head.status < 200) {
      if (++this.#interim > MAX_INTERIM) throw new MessageError(502, `more than ${MAX_INTERIM} interim responses`);
      stream.sink.onHead(stream, head, false);
      return;
    }
    this.#response = message;
    const length = stream.request.method === "HEAD" ? 0 : message.length;
    this.#body.begin(length);
    this.#untilClose = length === -2;
    this.#state = BODY;
    // Refused upgrades have no request body to come.
    if (stream.request.protocol !== "") {
      stream.requestDone = true;
      stream.blocked = false;
    }
    if (length === 0) this.#responseEnds(stream, () => stream.sink.onHead(stream, head, true));
    else stream.sink.onHead(stream, head, false);
  }

  onBodyData(chunk: Uint8Array, start: number, end: number, last: boolean): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#uncredited += end - start;
    if (last) stream.responseDone = true;
    stream.sink.onData(stream, chunk, start, end, last);
    if (last) this.#afterResponse(stream);
  }

  onBodyTrailers(fields: string[]): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#responseEnds(stream, () => stream.sink.onTrailers(stream, trailersHead(fields)));
  }

  #responseEnds(stream: Http1ClientStream, tell: () => void): void {
    stream.responseDone = true;
    tell();
    this.#afterResponse(stream);
  }

  #afterResponse(stream: Http1ClientStream): void {
    if (stream.closed) return;
    if (stream.requestDone) this.#finish(stream);
    else this.#state = EARLY;
  }

  // --- from the stream ----------------------------------------------------------------------------------------

  get highWaterBytes(): number {
    return this.#limits.sendHighWaterBytes;
  }

  wake(): void {
    this.#host.wake();
  }

  credited(stream: Http1ClientStream, bytes: number): void {
    if (this.#stream !== stream) return;
    const before = this.wantsRead;
    this.#uncredited = Math.max(0, this.#uncredited - bytes);
    if (!before && this.wantsRead) this.#host.wake();
  }

  requestEnded(stream: Http1ClientStream): void {
    if (!stream.responseDone) {
      // The end of a tunnel's one direction can only be told by ending the connection's; what still comes is heard (transportClosed, receiveEnd).
      if (this.#state === RAW) this.#wantsClose = true;
      return this.#host.wake();
    }
    this.#finish(stream);
    this.#host.wake();
    this.#announce();
  }

  abandoned(stream: Http1ClientStream): void {
    if (this.#stream === stream) this.#stream = null;
    this.#close();
  }

  #finish(stream: Http1ClientStream): void {
    stream.closed = true;
    this.#stream = null;
    const response = this.#response;
    this.#response = null;
    if (this.#state === RAW || this.#draining || this.#untilClose || response === null || !response.keepAlive) {
      this.#close();
      return;
    }
    this.#state = IDLE;
    this.#uncredited = 0;
    this.#keepAliveTimeoutMs = response.keepAliveTimeoutMs;
    this.#idleSince = JUST_IDLE;
  }

  #announce(): void {
    if (this.#idleSince !== JUST_IDLE || this.available === 0) return;
    this.#idleSince = -1;
    this.#onAvailable();
  }

  /** The failure of the stream under way when the connection is gone for that reason. */
  #lost(what: string): StreamFailure {
    const stream = this.#stream;
    const message = `${this.peer.address} ${what}`;
    // Having answered in full, a server may well stop reading: that is no loss.
    if (stream?.responseDone) return { kind: "reset", code: 0, unprocessed: false, message };
    return { kind: "connection-lost", code: 0, unprocessed: stream !== null && !stream.sent, message };
  }

  #fail(failure: StreamFailure): void {
    const stream = this.#stream;
    this.#stream = null;
    this.#close();
    if (stream === null || stream.closed) return;
    stream.closed = true;
    stream.sink.onReset(stream, failure);
  }

  #close(): void {
    this.#state = CLOSED;
    this.#body.stop();
    this.#section.reset();
    if (this.#wantsClose) return;
    this.#wantsClose = true;
    if (!this.#gone) this.#host.wake();
  }
}

const IDLE = 0;
const HEAD = 1;
const BODY = 2;
/** The response is complete, the request is not. */
const EARLY = 3;
const RAW = 4;
const CLOSED = 5;

/** #idleSince: receive() has to announce it. */
const JUST_IDLE = -2;
const MAX_INTERIM = 16;
const NOTHING = new Uint8Array(0);
