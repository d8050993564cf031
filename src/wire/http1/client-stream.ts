import { WeftError } from "../../core/errors.ts";
import { fieldOf } from "../../core/fields.ts";
import type { Head } from "../head.ts";
import type { HttpConnection, HttpStream, StreamSink } from "../stream.ts";
import { BodyWriter, CHUNKED, UNTIL_CLOSE } from "./body-writer.ts";
import { CRLF, requestForm, writeExtra } from "./encode.ts";
import type { Output } from "./output.ts";

/** What a stream needs of its connection. */
export interface ClientStreamOwner extends HttpConnection {
  readonly output: Output;
  readonly highWaterBytes: number;
  wake(): void;
  credited(stream: Http1ClientStream, bytes: number): void;
  requestEnded(stream: Http1ClientStream): void;
  /** The owner wants no more of the exchange. */
  abandoned(stream: Http1ClientStream): void;
}

/** One exchange on a client's connection. */
export class Http1ClientStream implements HttpStream {
  readonly connection: ClientStreamOwner;
  sink: StreamSink;
  owner: unknown = null;
  closed = false;
  readonly request: Head;
  /** The shell has taken output since the request was made. */
  sent = false;
  requestDone = false;
  responseDone = false;
  blocked = false;
  /** An upgrade has been asked for and not been answered. */
  #switching = false;
  #early: Buffer | null = null;
  #earlyFin = false;
  readonly #writer: BodyWriter;

  constructor(connection: ClientStreamOwner, sink: StreamSink, request: Head) {
    this.connection = connection;
    this.sink = sink;
    this.request = request;
    this.#writer = new BodyWriter(connection.output);
  }

  get bufferedBytes(): number {
    return this.connection.output.unwritten;
  }

  get mayContinue(): boolean {
    return this.blocked && !this.#switching;
  }

  writeHead(head: Head, extra: readonly string[] | null, fin: boolean): void {
    const { output } = this.connection;
    const form = requestForm(head);
    output.bytes(form.bytes, 0, form.bytes.length);
    let length = form.contentLength;
    if (extra !== null) {
      const extraLength = writeExtra(output, extra);
      if (length < 0) length = extraLength;
    }
    if (head.protocol === "websocket") {
      output.latin1("connection: upgrade\r\nupgrade: websocket\r\n\r\n");
      this.#switching = true;
      return;
    }
    if (fieldOf(head.fields, "te") !== undefined) output.bytes(CONNECTION_TE, 0, CONNECTION_TE.length);
    if (length >= 0 || fin) {
      if (fin && length > 0) {
        throw new WeftError("internal", `request without a body declares content-length ${length}`, {
          reason: "INVALID_FIELD",
        });
      }
      if (length < 0 && METHODS_WITH_BODY.has(head.method)) length = 0;
      if (length >= 0) output.latin1(`content-length: ${length}\r\n`);
      this.#writer.begin(Math.max(0, length));
    } else {
      output.latin1("transfer-encoding: chunked\r\n");
      this.#writer.begin(CHUNKED);
    }
    output.bytes(CRLF, 0, 2);
    this.requestDone = fin;
  }

  /** The server has switched: from now on bytes go as they are. */
  switched(): void {
    this.#switching = false;
    this.#writer.begin(UNTIL_CLOSE);
    const early = this.#early;
    this.#early = null;
    if (early !== null) this.sendData(early, 0, early.length, false);
    if (this.#earlyFin) this.sendData(NOTHING, 0, 0, true);
  }

  /** What the owner sends before the server has switched (HTTP/2 clients may) must not look like another request. */
  #keepEarly(bytes: Uint8Array, start: number, end: number, fin: boolean): boolean {
    const more = bytes.subarray(start, end);
    this.#early = this.#early === null ? Buffer.from(more) : Buffer.concat([this.#early, more]);
    this.#earlyFin ||= fin;
    this.blocked = this.#early.length > this.connection.highWaterBytes;
    return !this.blocked;
  }

  sendHead(): void {
    throw new WeftError("internal", "a request's head is sent by request() alone", { reason: "HEAD_SENT" });
  }

  sendData(bytes: Uint8Array, start: number, end: number, fin: boolean): boolean {
    if (this.closed || this.requestDone) return true;
    if (this.#switching) return this.#keepEarly(bytes, start, end, fin);
    if (!this.#writer.data(bytes, start, end, fin)) {
      const declared = "the request's body is not as long as its content-length";
      this.#abandon();
      this.sink.onReset(this, { kind: "protocol", code: 0, unprocessed: false, message: declared });
      return true;
    }
    if (fin) {
      this.#end();
      return true;
    }
    this.connection.wake();
    if (this.connection.output.unwritten <= this.connection.highWaterBytes) return true;
    this.blocked = true;
    return false;
  }

  sendTrailers(head: Head, extra: readonly string[] | null): void {
    if (this.closed || this.requestDone) return;
    if (this.#writer.chunked) {
      this.#writer.trailers(head.fields, extra);
      this.#end();
    } else {
      this.sendData(NOTHING, 0, 0, true);
    }
  }

  reset(_code: number): void {
    if (!this.closed) this.#abandon();
  }

  credit(bytes: number): void {
    this.connection.credited(this, bytes);
  }

  #end(): void {
    this.requestDone = true;
    this.blocked = false;
    this.connection.requestEnded(this);
  }

  #abandon(): void {
    this.closed = true;
    this.connection.abandoned(this);
  }
}

const NOTHING = new Uint8Array(0);
const CONNECTION_TE = Buffer.from("connection: te\r\n", "latin1");
const METHODS_WITH_BODY: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);
