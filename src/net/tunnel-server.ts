import { type Clock, systemClock } from "../core/clock.ts";
import type { ConnectionHost, ConnectionMachine, ServerMachineOptions } from "../wire/connection.ts";
import { HttpDate } from "../wire/http1/date.ts";
import { HeadCache } from "../wire/http1/head-cache.ts";
import type { RequestMessage } from "../wire/http1/request-message.ts";
import { createHttp1Server } from "../wire/http1/server.ts";
import { createHttp2Server } from "../wire/http2/server.ts";
import { type ConnectionLimits, resolveLimits } from "../wire/limits.ts";
import type { HttpStream, RequestHandler, StreamFailure, StreamSink } from "../wire/stream.ts";
import { type Loop, loopOf } from "./loop.ts";

export interface TunnelServerOptions {
  limits?: Partial<ConnectionLimits>;
  clock?: Clock;
  /** What a handler threw; the tunnel was closed. */
  onConnectionError?: (address: string, message: string) => void;
}

/** Serves HTTP inside of streams: what was asked for by CONNECT and granted, whose bytes turned out to be HTTP. */
export interface TunnelServer {
  /** Takes the stream over. `received` are the bytes that came already, not credited yet. */
  serve(stream: HttpStream, protocol: "http1" | "http2", received: Uint8Array, handler: RequestHandler): void;
  /** Connections open now. */
  readonly connections: number;
  /** No new requests; those under way go on, then each tunnel ends. */
  drain(): void;
}

export function createTunnelServer(options: TunnelServerOptions = {}): TunnelServer {
  return new StreamServer(options);
}

class StreamServer implements TunnelServer {
  readonly limits: Readonly<ConnectionLimits>;
  readonly loop: Loop;
  readonly heads = new HeadCache<RequestMessage>();
  readonly date: HttpDate;
  readonly open = new Set<TunnelConnection>();
  readonly onConnectionError: TunnelServerOptions["onConnectionError"];
  #draining = false;

  constructor({ limits, clock = systemClock, onConnectionError }: TunnelServerOptions) {
    this.limits = resolveLimits(limits);
    this.loop = loopOf(clock);
    this.date = new HttpDate(clock);
    this.onConnectionError = onConnectionError;
  }

  get connections(): number {
    return this.open.size;
  }

  serve(stream: HttpStream, protocol: "http1" | "http2", received: Uint8Array, handler: RequestHandler): void {
    const connection = new TunnelConnection(this, stream, protocol, handler);
    connection.receive(received, 0, received.length);
    if (this.#draining) connection.machine.drain();
  }

  drain(): void {
    this.#draining = true;
    for (const { machine } of this.open) machine.drain();
  }
}

/**
 * The shell of one connection inside of a stream, as SocketConnection is of one on a socket: output is written once a turn, and waits while the stream takes
 * no more; bytes are credited while the machine wants to read.
 */
class TunnelConnection implements ConnectionHost, StreamSink {
  readonly machine: ConnectionMachine;
  readonly #server: StreamServer;
  readonly #stream: HttpStream;
  #queued = false;
  #blocked = false;
  #ended = false;
  /** Bytes that came while the machine wanted none. */
  #owed = 0;

  constructor(server: StreamServer, stream: HttpStream, protocol: "http1" | "http2", handler: RequestHandler) {
    this.#server = server;
    this.#stream = stream;
    const { peer } = stream.connection;
    const options: ServerMachineOptions = { host: this, peer, limits: server.limits, handler };
    this.machine =
      protocol === "http2" ? createHttp2Server(options) : createHttp1Server(options, server.heads, server.date);
    stream.sink = this;
    server.open.add(this);
    server.loop.add(this);
    server.date.refresh();
    this.wake();
  }

  receive(chunk: Uint8Array, start: number, end: number): void {
    if (this.#ended) return;
    this.#guard(() => this.machine.receive(chunk, start, end));
    this.#owed += end - start;
    this.#credit();
  }

  wake(): void {
    if (this.#queued) return;
    this.#queued = true;
    this.#server.loop.enqueue(this);
  }

  flush(): void {
    this.#queued = false;
    if (this.#ended) return;
    this.#guard(() => this.#write());
    this.#credit();
  }

  #write(): void {
    const { machine } = this;
    const stream = this.#stream;
    while (!this.#blocked && machine.pendingBytes > 0) {
      const bytes = machine.takeOutput();
      this.#blocked = !stream.sendData(bytes, 0, bytes.length, false);
      if (!this.#blocked) machine.written();
    }
    if (machine.wantsClose && machine.pendingBytes === 0 && !this.#blocked) this.#end("");
  }

  tick(now: number): void {
    this.#guard(() => this.machine.tick(now));
  }

  #credit(): void {
    if (this.#owed === 0 || !this.machine.wantsRead || this.#ended) return;
    const owed = this.#owed;
    this.#owed = 0;
    this.#stream.credit(owed);
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (thrown) {
      const message = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
      this.#server.onConnectionError?.(this.machine.peer.address, message);
      this.#stream.reset(INTERNAL_ERROR);
      this.#end("internal error");
    }
  }

  #end(message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#server.open.delete(this);
    this.#server.loop.remove(this);
    if (!this.#stream.closed) this.#stream.sendData(NOTHING, 0, 0, true);
    this.machine.transportClosed(message);
  }

  // --- StreamSink -------------------------------------------------------------------------------------------------

  onHead(): void {}

  onData(_stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (end > start) this.receive(chunk, start, end);
    if (!fin || this.#ended) return;
    this.#guard(() => this.machine.receiveEnd());
    this.wake();
  }

  onTrailers(): void {}

  onReset(_stream: HttpStream, failure: StreamFailure): void {
    this.#end(failure.message);
  }

  onWritable(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#guard(() => this.machine.written());
    this.wake();
  }
}

const NOTHING = new Uint8Array(0);
const INTERNAL_ERROR = 2;
