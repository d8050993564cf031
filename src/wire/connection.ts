import type { ConnectionLimits } from "./limits.ts";
import type { ClientConnection, HttpConnection, PeerInfo, RequestHandler } from "./stream.ts";

/**
 * A connection as a machine: bytes in, bytes out, no sockets. net/ is its shell.
 *
 * The shell calls receive() with what it read (the bytes are valid only during the call) and, once a turn of the event loop,
 * takes the output and writes it. A machine calls `host.wake()` when there is output or a wish that the shell has not seen.
 */
export interface ConnectionMachine extends HttpConnection {
  /** Bytes [start, end) of `chunk` arrived. Never throws: a peer's error becomes output and `wantsClose`. */
  receive(chunk: Uint8Array, start: number, end: number): void;
  /** Bytes waiting to be written, 0 when there are none. */
  readonly pendingBytes: number;
  /** The bytes to write now; the machine forgets them. The buffer may be reused by the machine after `written()`. */
  takeOutput(): Uint8Array;
  /** The shell's write of everything taken has been handed to the kernel; the machine may go on producing (onWritable). */
  written(): void;
  /** Once true: write what is pending, then close the socket. What still arrives is discarded. */
  readonly wantsClose: boolean;
  /** False while the machine wants no more bytes (HTTP/1.1 backpressure): the shell stops reading until it is true again. */
  readonly wantsRead: boolean;
  /** The peer ended its side (FIN). */
  receiveEnd(): void;
  /** The socket is gone; `message` says why ("" for an orderly close). Open streams are told. */
  transportClosed(message: string): void;
  /** Called about once a second by the shell: idle, keep-alive, header and settings time-outs. */
  tick(now: number): void;
}

export interface ConnectionHost {
  /** There is output, or wantsClose or wantsRead changed. Cheap, idempotent within a turn. */
  wake(): void;
}

/** What the shell makes a machine with. */
export interface MachineOptions {
  readonly host: ConnectionHost;
  readonly peer: PeerInfo;
  /** Total and frozen (`resolveLimits`). */
  readonly limits: Readonly<ConnectionLimits>;
}

/** For `createHttp1Server(options)` and `createHttp2Server(options)`, each of which returns a ConnectionMachine. */
export interface ServerMachineOptions extends MachineOptions {
  readonly handler: RequestHandler;
  /** A forward proxy: CONNECT is taken over HTTP/1.1, too, and a target with a host is believed whatever the host field says. Default false. */
  readonly proxy?: boolean;
}

export interface ClientMachineOptions extends MachineOptions {
  /** Told when `available` rose from 0, so that a waiting caller can be served in the same turn. Never called from inside request(). */
  readonly onAvailable: () => void;
}

/** A machine on whose connection we are the client: `createHttp1Client(options)`, `createHttp2Client(options)`. */
export interface ClientMachine extends ConnectionMachine, ClientConnection {
  /** Requests at once that are given to it at most, beside what the server allows. Infinity: no more than that. HTTP/1.1 has one anyway. */
  maxStreams: number;
}
