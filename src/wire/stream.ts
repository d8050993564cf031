import type { Head } from "./head.ts";

/**
 * One HTTP exchange (request and response), whatever the version and whichever side we are on. What HTTP/1.1 and HTTP/2 have in
 * common, and all that call/, service/ and proxy/ know about them.
 *
 *     server side   RequestHandler.onRequest(stream, head, fin) sets stream.sink, then answers with sendHead/sendData/sendTrailers
 *     client side   connection.request(head, extra, fin, sink) returns the stream; the response arrives at the sink
 *
 * Everything is synchronous: a sink is called from inside the connection's receive(); what is sent is gathered in the connection's
 * output and written once at the end of the turn. A sink may call any method of the stream from inside a callback.
 *
 * After fin both ways, or after reset() or onReset(), the stream is closed: later sends are ignored and no callback follows.
 */
export interface HttpStream {
  /** Who hears what the peer sends. A server's handler must set it inside onRequest; it may be replaced at any time. */
  sink: StreamSink;
  readonly connection: HttpConnection;
  /** True once nothing more can be sent or will be heard. */
  readonly closed: boolean;
  /** Free for the stream's owner. */
  owner: unknown;

  /** Sends a head. `extra` are further fields (flat, lower-case) for this message only, so that `head` can be a constant whose encoded
   * form is cached. On servers status 1xx may precede the final one. Status 101 is for HTTP/1.1 upgrades alone: over HTTP/2 the machine sends 200. */
  sendHead(head: Head, extra: readonly string[] | null, fin: boolean): void;
  /** Sends body bytes [start, end). The bytes are copied or written before it returns. False: more than the high-water mark is
   * waiting; stop until onWritable (what is sent nevertheless is kept, not dropped). */
  sendData(bytes: Uint8Array, start: number, end: number, fin: boolean): boolean;
  /** Sends trailers, which end the message. Over HTTP/1.1 they are dropped unless the peer sent `te: trailers` and the body is chunked. */
  sendTrailers(head: Head, extra: readonly string[] | null): void;
  /** Ends the exchange abnormally: RST_STREAM with this HTTP/2 error code (RFC 9113 section 7; CANCEL is 8); over HTTP/1.1 the connection closes.
   * On a server stream with a complete response it tells the peer to stop sending (NO_ERROR). */
  reset(code: number): void;
  /** The owner has consumed `bytes` body bytes: the peer may send as many more. Without it the peer stops after the receive window. */
  credit(bytes: number): void;
  /** Body bytes sent but not yet taken by the socket. */
  readonly bufferedBytes: number;
}

export interface StreamSink {
  /** Client side: the response's head; those with status 1xx come before the final one. (A server gets its head with onRequest.) */
  onHead(stream: HttpStream, head: Head, fin: boolean): void;
  /** Body bytes [start, end) of `chunk`, valid only during the call: copy what must last. May be empty when `fin`. */
  onData(stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void;
  /** Trailers; they end the peer's message. */
  onTrailers(stream: HttpStream, head: Head): void;
  /** The stream ended abnormally: reset by the peer, or the connection was lost or refused it. */
  onReset(stream: HttpStream, failure: StreamFailure): void;
  /** After sendData returned false: below the low-water mark again. */
  onWritable(stream: HttpStream): void;
}

export interface StreamFailure {
  readonly kind: "reset" | "refused" | "connect" | "connection-lost" | "protocol";
  /** HTTP/2 error code, 0 when there is none. */
  readonly code: number;
  /** True when the peer certainly did not act on the request: REFUSED_STREAM, above GOAWAY's last id, never written, connect failed. */
  readonly unprocessed: boolean;
  /** For people and logs: "connection reset by 127.0.0.1:9002". */
  readonly message: string;
}

export interface RequestHandler {
  /** A request's head is complete. Must set `stream.sink`, unless it answers and ends the stream at once. */
  onRequest(stream: HttpStream, head: Head, fin: boolean): void;
}

/** What streams and their owners may ask about the connection. */
export interface HttpConnection {
  readonly version: "1.0" | "1.1" | "2";
  readonly peer: PeerInfo;
  /** Streams open now. */
  readonly openStreams: number;
  /** No new streams from now on (GOAWAY; `connection: close`); those open go on; then the connection closes by itself. */
  drain(): void;
  /** Closes now; open streams are told "connection-lost". */
  close(): void;
}

/** A connection on which we are the client. */
export interface ClientConnection extends HttpConnection {
  /** Opens an exchange. Throws WeftError("unavailable") when `available` is 0. */
  request(head: Head, extra: readonly string[] | null, fin: boolean, sink: StreamSink): HttpStream;
  /** How many more exchanges may be opened now: 0 when draining, closed, or at the peer's limit. */
  readonly available: number;
}

export interface PeerInfo {
  /** "127.0.0.1:50312" */
  readonly address: string;
  readonly localAddress: string;
  readonly secure: boolean;
  /** The peer's verified identity (a SPIFFE id or the certificate's subject), "" when there is none. */
  readonly identity: string;
}
