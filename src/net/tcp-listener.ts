import type { Server, Socket } from "node:net";
import { type Clock, systemClock } from "../core/clock.ts";
import { hostOfAddress } from "../core/network.ts";
import { ProxyHeaderReader } from "../wire/proxy-protocol/proxy-header-reader.ts";
import type { PeerInfo } from "../wire/stream.ts";
import { ClientHelloReader } from "../wire/tls/client-hello.ts";
import { createPlainServer, type ReadCallback } from "./accept.ts";
import { ByteConnection } from "./byte-connection.ts";
import { listenError } from "./listen-error.ts";
import { type Loop, loopOf, type Ticking } from "./loop.ts";
import { peerOf } from "./peer.ts";
import type { Listener } from "./types.ts";
import { untilEmpty } from "./until-empty.ts";

export interface TcpListenOptions {
  /** Default "127.0.0.1". */
  host?: string;
  /** 0 (default) picks a free one. */
  port?: number;
  /** Whether a header of the PROXY protocol comes first from this address (no port), and is believed. Default: from none. */
  proxied?: (address: string) => boolean;
  /** Connections are TLS: their ClientHello is read, and passed on with the rest. Default false. */
  clientHello?: boolean;
  /** Default 20,000. The newest is closed beyond it. */
  maxConnections?: number;
  /** Time for the PROXY header and the ClientHello. Default 10,000. */
  headTimeoutMs?: number;
  clock?: Clock;
  onConnection: (connection: ByteConnection, accepted: AcceptedConnection) => void;
  /** One that did not come that far. */
  onRefused?: (peer: PeerInfo, message: string) => void;
}

export interface AcceptedConnection {
  /** Who connected, as the proxy in front says where one is trusted. */
  readonly peer: PeerInfo;
  /** What a ClientHello asks for, "" without one. */
  readonly serverName: string;
}

/**
 * Listens for TCP connections of any protocol.
 *
 *     accepted --[PROXY header]--[ClientHello]--> onConnection
 *         \------ malformed, or not in time ----> closed, onRefused
 *
 * Rejects with WeftError "failed_precondition", as listen() does.
 */
export async function listenTcp(options: TcpListenOptions): Promise<Listener> {
  const listener = new TcpListener(options);
  await listener.start();
  return listener;
}

class TcpListener implements Listener {
  readonly options: TcpListenOptions;
  readonly loop: Loop;
  readonly headTimeoutMs: number;
  readonly #maxConnections: number;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #onEmpty: (() => void) | null = null;
  readonly host: string;
  port = 0;

  constructor(options: TcpListenOptions) {
    this.options = options;
    this.loop = loopOf(options.clock ?? systemClock);
    this.headTimeoutMs = options.headTimeoutMs ?? 10_000;
    this.#maxConnections = options.maxConnections ?? 20_000;
    this.host = options.host ?? "127.0.0.1";
    this.#server = createPlainServer((socket) => this.#accept(socket));
  }

  get connections(): number {
    return this.#open.size;
  }

  start(): Promise<void> {
    const { port = 0 } = this.options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(this.host, port, error)));
      this.#server.listen({ host: this.host, port, backlog: 1_024 }, () => {
        const address = this.#server.address();
        if (address !== null && typeof address === "object") this.port = address.port;
        this.#server.removeAllListeners("error");
        this.#server.on("error", () => {}); // out of descriptors: accepting goes on when some are free
        resolve();
      });
    });
  }

  /** Sessions end by themselves, or are cut after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#server.listening) this.#server.close();
    if (this.#open.size > 0 && timeoutMs > 0) await untilEmpty(timeoutMs, (onEmpty) => (this.#onEmpty = onEmpty));
    await this.close();
  }

  async close(): Promise<void> {
    if (this.#server.listening) this.#server.close();
    if (this.#open.size === 0) return;
    const gone = new Promise<void>((resolve) => (this.#onEmpty = resolve));
    for (const socket of this.#open) socket.resetAndDestroy();
    await gone;
  }

  #accept(socket: Socket): ReadCallback | null {
    if (this.#open.size >= this.#maxConnections || socket.remoteAddress === undefined) return null;
    this.#open.add(socket);
    socket.once("close", () => {
      this.#open.delete(socket);
      if (this.#open.size === 0) this.#onEmpty?.();
    });
    const peer = peerOf(socket);
    const connection = new ByteConnection(socket, false);
    const { proxied, clientHello = false, onConnection } = this.options;
    const first = proxied?.(hostOfAddress(peer.address)) === true;
    if (!first && !clientHello) {
      onConnection(connection, { peer, serverName: "" });
      return (chunk, start, end) => connection.receive(chunk, start, end);
    }
    const beginning = new Beginning(this, socket, connection, peer, first, clientHello);
    return (chunk, start, end) => beginning.receive(chunk, start, end);
  }
}

/** What has to be read of a connection before it is handed on. */
class Beginning implements Ticking {
  readonly #listener: TcpListener;
  readonly #socket: Socket;
  readonly #connection: ByteConnection;
  #peer: PeerInfo;
  #header: ProxyHeaderReader | null;
  #hello: ClientHelloReader | null;
  #since = -1;
  #over = false;

  constructor(
    listener: TcpListener,
    socket: Socket,
    connection: ByteConnection,
    peer: PeerInfo,
    header: boolean,
    hello: boolean,
  ) {
    this.#listener = listener;
    this.#socket = socket;
    this.#connection = connection;
    this.#peer = peer;
    this.#header = header ? new ProxyHeaderReader() : null;
    this.#hello = hello ? new ClientHelloReader() : null;
    listener.loop.add(this);
    socket.once("close", () => listener.loop.remove(this));
    socket.once("end", () => {
      if (!this.#over) this.#refuse("the connection ended before it said what it is for");
    });
  }

  receive(chunk: Uint8Array, start: number, end: number): boolean {
    if (this.#over) return this.#connection.receive(chunk, start, end);
    try {
      return this.#read(chunk, start, end);
    } catch (thrown) {
      this.#refuse(thrown instanceof Error ? thrown.message : String(thrown));
      return true;
    }
  }

  tick(now: number): void {
    if (this.#since < 0) this.#since = now;
    else if (now - this.#since >= this.#listener.headTimeoutMs) this.#refuse("its first bytes did not come in time");
  }

  #read(chunk: Uint8Array, start: number, end: number): boolean {
    if (this.#header !== null) {
      const header = this.#header.feed(chunk, start, end);
      if (header === null) return true;
      if (header.source !== "") this.#peer = { ...this.#peer, address: header.source };
      start += this.#header.consumed;
      this.#header = null;
      if (this.#hello === null) {
        this.#handOn("");
        return this.#connection.receive(chunk, start, end);
      }
    }
    if (this.#hello === null || start === end) return true;
    const hello = this.#hello.feed(chunk, start, end);
    if (hello === null) return true;
    this.#connection.unshift(this.#hello.bytes);
    this.#handOn(hello.serverName);
    return true;
  }

  #handOn(serverName: string): void {
    this.#over = true;
    this.#listener.loop.remove(this);
    this.#listener.options.onConnection(this.#connection, { peer: this.#peer, serverName });
  }

  #refuse(message: string): void {
    this.#over = true;
    this.#listener.loop.remove(this);
    this.#listener.options.onRefused?.(this.#peer, message);
    this.#socket.destroy();
  }
}
