import type { Server, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { systemClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { ServerMachineOptions } from "../wire/connection.ts";
import { HttpDate } from "../wire/http1/date.ts";
import { HeadCache } from "../wire/http1/head-cache.ts";
import type { RequestMessage } from "../wire/http1/request-message.ts";
import { createHttp1Server } from "../wire/http1/server.ts";
import { createHttp2Server } from "../wire/http2/server.ts";
import { type ConnectionLimits, resolveLimits } from "../wire/limits.ts";
import type { PeerInfo } from "../wire/stream.ts";
import { createPlainServer, type OnAccept, type ReadCallback, readByEvents } from "./accept.ts";
import { acceptProxied } from "./accept-proxied.ts";
import { listenError } from "./listen-error.ts";
import { type Loop, loopOf } from "./loop.ts";
import { MeshAccept } from "./mesh-accept.ts";
import { BYTES_ALPN } from "./mesh-tls.ts";
import { formatAddress, peerOf } from "./peer.ts";
import { perAddress } from "./per-address.ts";
import { mayBeHttp1, PREFACE, PrefaceMatcher } from "./preface.ts";
import { SocketConnection, type SocketConnectionOwner } from "./socket-connection.ts";
import { tlsModule } from "./tls-module.ts";
import type { Listener, ListenOptions } from "./types.ts";

/**
 * Listens for HTTP/1.1 and HTTP/2 on one port. In plain text the connection's first bytes tell which (an `upgrade: h2c` is ignored,
 * RFC 9113 section 3.1); under TLS ALPN does, and where a client offers none, the first bytes again.
 *
 * Rejects with WeftError "failed_precondition": PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNKNOWN or LISTEN_FAILED.
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const listener = new HttpListener(options);
  await listener.start();
  return listener;
}

class HttpListener implements Listener, SocketConnectionOwner {
  readonly #options: ListenOptions;
  readonly #limits: Readonly<ConnectionLimits>;
  readonly #loop: Loop;
  readonly #server: Server;
  readonly #mesh: MeshAccept | null;
  readonly #open = new Set<SocketConnection>();
  /** TLS only: every TCP connection, also those whose handshake is not over. */
  readonly #raw = new Set<Socket>();
  readonly #heads = new HeadCache<RequestMessage>();
  readonly #date: HttpDate;
  readonly #openedAt = new WeakMap<SocketConnection, number>();
  #accepted = 0;
  #draining = false;
  #onEmpty: (() => void) | null = null;
  host: string;
  port = 0;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#limits = resolveLimits(options.limits);
    const clock = options.clock ?? systemClock;
    this.#loop = loopOf(clock);
    this.#date = new HttpDate(clock);
    this.host = options.host ?? "127.0.0.1";
    if (options.mesh !== undefined && options.tls !== undefined)
      throw new WeftError("invalid_argument", "a listener of the mesh brings its own TLS: leave out `tls`");
    this.#mesh = options.mesh === undefined ? null : this.#meshAccept(options.mesh);
    this.#server = options.tls === undefined ? this.#plainServer() : this.#tlsServer();
  }

  get connections(): number {
    return Math.max(this.#open.size, this.#raw.size) + (this.#mesh?.pending ?? 0);
  }

  start(): Promise<void> {
    const server = this.#server;
    const port = this.#options.port ?? 0;
    return new Promise((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(this.host, port, error)));
      server.listen({ host: this.host, port, backlog: 1_024 }, () => {
        const address = server.address();
        if (address !== null && typeof address === "object") this.port = address.port;
        server.removeAllListeners("error");
        // Running out of descriptors is reported here; those connected stay, and accepting goes on when some are free.
        server.on("error", (error) => this.#options.onConnectionError?.(NOBODY, `accept failed: ${error.message}`));
        resolve();
      });
    });
  }

  async drain(timeoutMs: number): Promise<void> {
    const deadline = this.#loop.now() + timeoutMs;
    if (!this.#draining) {
      this.#draining = true;
      await this.#stopAccepting();
      for (const connection of this.#open) this.#guard(connection, () => connection.machine?.drain());
    }
    if (this.#open.size > 0 && timeoutMs > 0) await this.#emptyBy(deadline);
    await this.close();
  }

  async close(): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => {
      if (this.#server.listening) this.#server.close(() => resolve());
      else resolve();
    });
    const gone = this.#open.size === 0 ? null : new Promise<void>((resolve) => (this.#onEmpty = resolve));
    for (const connection of this.#open) connection.destroy("listener closed");
    for (const socket of this.#raw) socket.destroy();
    this.#mesh?.close();
    await closed;
    await gone;
  }

  /** Takes what the kernel has accepted already, then closes the listening socket: those in its queue would be reset. Where they never
   * stop coming, it closes all the same. */
  async #stopAccepting(): Promise<void> {
    let seen = -1;
    for (let turns = 0; seen !== this.#accepted && turns < 20; turns++) {
      seen = this.#accepted;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (this.#server.listening) this.#server.close();
  }

  #emptyBy(deadline: number): Promise<void> {
    return new Promise((resolve) => {
      // Idle connections get a moment in which a request that is already under way still arrives (machine.drain()), measured by ticks.
      const hurry = setInterval(() => {
        const now = this.#loop.now();
        for (const connection of this.#open) connection.tick(now);
        if (now >= deadline) done();
      }, DRAIN_TICK_MS);
      const done = (): void => {
        clearInterval(hurry);
        this.#onEmpty = null;
        resolve();
      };
      this.#onEmpty = done;
    });
  }

  #plainServer(): Server {
    const mesh = this.#mesh;
    const taken: OnAccept =
      mesh === null
        ? (socket: Socket) => (this.#options.closed?.() === true ? null : this.#accept(socket))
        : (socket: Socket) =>
            this.connections >= this.#limits.maxConnections ? this.#over("maxConnections") : mesh.accept(socket);
    const accept = perAddress(this.#limits.maxConnectionsPerAddress, taken, () => {
      this.#over("maxConnectionsPerAddress");
    });
    const { proxied, sharedRead } = this.#options;
    if (proxied === undefined) return createPlainServer(accept, sharedRead);
    return createPlainServer(this.#proxiedAccept(proxied, accept), sharedRead);
  }

  /** What accepts sockets before which a proxy says who connected. */
  #proxiedAccept(proxied: (address: string) => boolean, accept: OnAccept): OnAccept {
    return acceptProxied({
      proxied,
      accept,
      timeoutMs: this.#limits.headTimeoutMs,
      hasRoom: () => this.connections < this.#limits.maxConnections,
      pending: this.#raw,
      onRefused: (peer, message) => this.#options.onConnectionError?.(peer, message),
    });
  }

  #meshAccept(mesh: NonNullable<ListenOptions["mesh"]>): MeshAccept {
    return new MeshAccept({
      mesh,
      loop: this.#loop,
      timeoutMs: this.#limits.headTimeoutMs,
      onPlain: (socket) => this.#accept(socket),
      onSecure: (socket) => this.#acceptSecure(socket),
      bytes: this.#options.other !== undefined,
      speaksFirst: () => this.#options.bytesOnly?.(NOBODY) === true,
      onRefused: (peer, message) => this.#options.onConnectionError?.(peer, message),
    });
  }

  #tlsServer(): Server {
    const { cert, key, ca, requireClientCertificate = false } = this.#options.tls ?? { cert: "", key: "" };
    const server = tlsModule().createServer({
      cert: asPem(cert),
      key: asPem(key),
      ca: ca === undefined ? undefined : asPem(ca),
      requestCert: ca !== undefined || requireClientCertificate,
      rejectUnauthorized: requireClientCertificate,
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: this.#limits.headTimeoutMs,
      allowHalfOpen: true,
      noDelay: true,
    });
    server.maxConnections = this.#limits.maxConnections;
    server.on("connection", (socket: Socket) => {
      this.#accepted++;
      this.#raw.add(socket);
      socket.once("close", () => this.#raw.delete(socket));
    });
    server.on("tlsClientError", (error: Error, socket: TLSSocket) => {
      const address = formatAddress(socket.remoteAddress, socket.remotePort);
      this.#options.onConnectionError?.({ ...NOBODY, address, secure: true }, `TLS handshake failed: ${error.message}`);
      // Node leaves that to us, also when a handshake takes too long.
      socket.destroy();
    });
    server.on("secureConnection", (socket: TLSSocket) => this.#acceptSecure(socket));
    const { proxied } = this.#options;
    if (proxied === undefined) return server;
    // Its header comes before the handshake: a server of its own reads it.
    const handOn = (socket: Socket): ReadCallback => {
      const timer = setTimeout(() => socket.destroy(), this.#limits.headTimeoutMs).unref();
      this.#raw.add(socket);
      socket.once("close", () => this.#raw.delete(socket));
      return (chunk, start, end) => {
        if (start === end) return true;
        clearTimeout(timer);
        socket.removeAllListeners("data");
        socket.pause();
        socket.unshift(Buffer.from(chunk.subarray(start, end)));
        server.emit("connection", socket);
        return true;
      };
    };
    return createPlainServer(this.#proxiedAccept(proxied, handOn), false);
  }

  #acceptSecure(socket: TLSSocket): void {
    const read = this.#accept(socket);
    if (read === null) socket.destroy();
    else readByEvents(socket, read);
  }

  #over(limit: "maxConnections" | "maxConnectionsPerAddress"): null {
    this.#options.onOverLimit?.(limit);
    return null;
  }

  #accept(socket: Socket): ReadCallback | null {
    this.#accepted++;
    if (this.#open.size >= this.#limits.maxConnections) return this.#over("maxConnections");
    if (socket.remoteAddress === undefined) return null;
    const peer = peerOf(socket);
    const connection = new SocketConnection(this.#loop, socket, this, peer, true, this.#limits.idleTimeoutMs);
    this.#open.add(connection);
    this.#date.refresh();
    this.#options.onConnection?.(peer);
    const alpn = (socket as TLSSocket).alpnProtocol;
    if (alpn === "h2") this.#begin(connection, "http2");
    else if (alpn === "http/1.1") this.#begin(connection, "http1");
    if (connection.machine !== null) return (chunk, start, end) => connection.receive(chunk, start, end);
    if (this.#options.other !== undefined && (alpn === BYTES_ALPN || this.#options.bytesOnly?.(peer) === true)) {
      connection.release();
      return this.#options.other(socket, peer, new Uint8Array(0)) ?? refuse(socket);
    }

    const matcher = new PrefaceMatcher();
    let taken: ReadCallback | null = null;
    const { other: silent, otherAfterMs } = this.#options;
    if (silent !== undefined && otherAfterMs !== undefined) {
      const timer = setTimeout(() => {
        if (taken !== null || connection.machine !== null || matcher.matched > 0 || socket.destroyed) return;
        connection.release();
        taken = silent(socket, peer, new Uint8Array(0)) ?? refuse(socket);
      }, otherAfterMs);
      socket.once("close", () => clearTimeout(timer));
    }
    return (chunk, start, end) => {
      if (taken !== null) return taken(chunk, start, end);
      if (connection.machine !== null) return connection.receive(chunk, start, end);
      const earlier = matcher.matched;
      const protocol = matcher.feed(chunk, start, end);
      if (protocol === "") return true;
      const { other } = this.#options;
      if (other !== undefined && protocol === "http1" && !mayBeHttp1(earlier, chunk, start, end)) {
        connection.release();
        const first = Buffer.concat([PREFACE.subarray(0, earlier), chunk.subarray(start, end)]);
        taken = other(socket, peer, first) ?? refuse(socket);
        return true;
      }
      this.#begin(connection, protocol);
      if (earlier > 0) connection.receive(PREFACE, 0, earlier);
      const more = connection.receive(chunk, start, end);
      if (this.#draining) this.#guard(connection, () => connection.machine?.drain());
      return more;
    };
  }

  #begin(connection: SocketConnection, protocol: "http1" | "http2"): void {
    const options: ServerMachineOptions = {
      host: connection,
      peer: connection.peer,
      limits: this.#limits,
      handler: this.#options.handler,
      ...(this.#options.proxy && { proxy: true }),
    };
    connection.machine =
      protocol === "http2" ? createHttp2Server(options) : createHttp1Server(options, this.#heads, this.#date);
    connection.wake();
  }

  #guard(connection: SocketConnection, action: () => void): void {
    try {
      action();
    } catch (thrown) {
      connection.fail(thrown);
    }
  }

  onClosed(connection: SocketConnection): void {
    this.#open.delete(connection);
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  onError(connection: SocketConnection, message: string): void {
    this.#options.onConnectionError?.(connection.peer, message);
  }

  onTickUndecided(connection: SocketConnection, now: number): void {
    const since = this.#openedAt.get(connection);
    if (since === undefined) this.#openedAt.set(connection, now);
    else if (now - since >= this.#limits.headTimeoutMs) connection.destroy("nothing received in time");
  }
}

const DRAIN_TICK_MS = 100;
const NOBODY: PeerInfo = { address: "unknown", localAddress: "unknown", secure: false, identity: "" };

function refuse(socket: Socket): ReadCallback {
  socket.on("error", () => {});
  socket.destroy();
  return () => true;
}

function asPem(bytes: string | Uint8Array): string | Buffer {
  return typeof bytes === "string" ? bytes : Buffer.from(bytes);
}
