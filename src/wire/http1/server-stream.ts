import { WeftError } from "../../core/errors.ts";
import { fieldOf } from "../../core/fields.ts";
import type { Head } from "../head.ts";
import type { HttpConnection, HttpStream, StreamSink } from "../stream.ts";
import { BodyWriter, CHUNKED, NONE, UNTIL_CLOSE } from "./body-writer.ts";
import { CRLF, responseForm, writeExtra } from "./encode.ts";
import type { Output } from "./output.ts";
import type { RequestMessage } from "./request-message.ts";

/** What a stream needs of its connection. */
export interface ServerStreamOwner extends HttpConnection {
  readonly output: Output;
  readonly dateLine: Uint8Array;
  readonly highWaterBytes: number;
  wake(): void;
  credited(stream: Http1ServerStream, bytes: number): void;
  /** 101, or 2xx to CONNECT, has been sent: bytes are carried as they are from now on. */
  switched(): void;
  responseEnded(stream: Http1ServerStream): void;
  /** The exchange ends without a complete response. */
  abandoned(stream: Http1ServerStream): void;
}

/** One exchange on a server's connection. */
export class Http1ServerStream implements HttpStream {
  readonly connection: ServerStreamOwner;
  sink: StreamSink = ignoringSink;
  owner: unknown = null;
  closed = false;
  keepAlive: boolean;
  /** The request is complete. */
  requestDone = false;
  /** The final head has been sent; the response is complete. */
  headSent = false;
  responseDone = false;
  /** sendData answered false and onWritable has not been called. */
  blocked = false;
  /** Request bytes that came after the response was complete. */
  lateBytes = 0;
  readonly #message: RequestMessage;
  readonly #writer: BodyWriter;

  constructor(connection: ServerStreamOwner, message: RequestMessage, draining: boolean) {
    this.connection = connection;
    this.#message = message;
    this.keepAlive = message.keepAlive && !draining;
    this.#writer = new BodyWriter(connection.output);
  }

  get bufferedBytes(): number {
    return this.connection.output.unwritten;
  }

  sendHead(head: Head, extra: readonly string[] | null, fin: boolean): void {
    if (this.closed || this.headSent) return;
    const { status } = head;
    if (status === 101 && this.#message.head.protocol === "") {
      throw new WeftError("internal", "status 101 for a request that asks for no upgrade", { reason: "NO_UPGRADE" });
    }
    const interim = status < 200 && status !== 101;
    if (interim && this.#message.minor === 0) return;
    const { output } = this.connection;
    const mark = output.length;
    let complete = true;
    try {
      complete = this.#writeHead(head, extra, fin, interim);
    } catch (thrown) {
      output.rollBack(mark);
      throw thrown;
    }
    if (interim) return this.connection.wake();
    this.headSent = true;
    if (status === 101 || this.#grantsTunnel(status)) this.connection.switched();
    else if (this.#message.tunnel) this.requestDone = true; // not granted: such a request has no body
    if (!complete) return this.#abandon();
    if (fin) this.#end();
    else this.connection.wake();
  }

  sendData(bytes: Uint8Array, start: number, end: number, fin: boolean): boolean {
    if (this.closed || this.responseDone) return true;
    if (!this.headSent) throw new WeftError("internal", "body sent before the response's head", { reason: "NO_HEAD" });
    if (!this.#writer.data(bytes, start, end, fin)) {
      this.#abandon();
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
    if (this.closed || this.responseDone) return;
    if (!this.headSent)
      throw new WeftError("internal", "trailers sent before the response's head", { reason: "NO_HEAD" });
    if (this.#writer.chunked && this.#message.acceptsTrailers) {
      this.#writer.trailers(head.fields, extra);
      this.#end();
    } else {
      this.sendData(NOTHING, 0, 0, true);
    }
  }

  /** HTTP/1.1 can end an exchange early in one way only: by closing the connection. */
  reset(_code: number): void {
    if (!this.closed) this.#abandon();
  }

  credit(bytes: number): void {
    this.connection.credited(this, bytes);
  }

  #end(): void {
    this.responseDone = true;
    this.blocked = false;
    this.connection.responseEnded(this);
  }

  #abandon(): void {
    this.closed = true;
    this.connection.abandoned(this);
  }

  /** RFC 9110 section 9.3.6. */
  #grantsTunnel(status: number): boolean {
    return this.#message.head.method === "CONNECT" && status >= 200 && status < 300;
  }

  /** False when the head declares a body that `fin` denies. */
  #writeHead(head: Head, extra: readonly string[] | null, fin: boolean, interim: boolean): boolean {
    const { output } = this.connection;
    const { status } = head;
    const form = responseForm(head);
    output.bytes(form.bytes, 0, form.bytes.length);
    let length = form.contentLength;
    if (extra !== null) {
      const extraLength = writeExtra(output, extra);
      if (length < 0) length = extraLength;
    }
    if (interim) {
      output.bytes(CRLF, 0, 2);
      return true;
    }
    if (!form.hasDate && (extra === null || fieldOf(extra, "date") === undefined)) {
      const { dateLine } = this.connection;
      output.bytes(dateLine, 0, dateLine.length);
    }
    let complete = true;
    if (status === 101) {
      output.latin1("connection: upgrade\r\nupgrade: websocket\r\n\r\n");
      this.#writer.begin(UNTIL_CLOSE);
      return true;
    }
    if (this.#grantsTunnel(status)) {
      output.bytes(CRLF, 0, 2);
      this.#writer.begin(UNTIL_CLOSE);
      return true;
    }
    if (this.#message.head.method === "HEAD" || status === 204 || status === 304) {
      if (status === 204) length = -1;
      this.#writer.begin(NONE);
    } else if (length >= 0) {
      this.#writer.begin(length);
      complete = !fin || length === 0;
    } else if (fin) {
      length = 0;
      this.#writer.begin(0);
    } else if (this.#message.minor === 1) {
      output.bytes(CHUNKED_LINE, 0, CHUNKED_LINE.length);
      this.#writer.begin(CHUNKED);
    } else {
      this.keepAlive = false;
      this.#writer.begin(UNTIL_CLOSE);
    }
    if (length >= 0) {
      if (form.contentLength === length) output.bytes(form.lengthLine, 0, form.lengthLine.length);
      else output.latin1(`content-length: ${length}\r\n`);
    }
    if (!this.keepAlive) output.latin1("connection: close\r\n");
    else if (this.#message.minor === 0) output.latin1("connection: keep-alive\r\n");
    output.bytes(CRLF, 0, 2);
    return complete;
  }
}

/** For handlers that answer and end at once: takes the rest of the request. */
const ignoringSink: StreamSink = {
  onHead() {},
  onData(stream, _chunk, start, end) {
    stream.credit(end - start);
  },
  onTrailers() {},
  onReset() {},
  onWritable() {},
};

const NOTHING = new Uint8Array(0);
const CHUNKED_LINE = Buffer.from("transfer-encoding: chunked\r\n", "latin1");
