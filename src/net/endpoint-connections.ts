import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ConnectionBounds } from "../core/connection-bounds.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { ClientMachine } from "../wire/connection.ts";
import { createHttp1Client } from "../wire/http1/client.ts";
import type { HeadCache } from "../wire/http1/head-cache.ts";
import type { ResponseMessage } from "../wire/http1/response-message.ts";
import { createHttp2Client } from "../wire/http2/client.ts";
import type { ConnectionLimits } from "../wire/limits.ts";
import type { ClientConnection, StreamFailure } from "../wire/stream.ts";
import type { ReadCallback } from "./accept.ts";
import { type DialTarget, dial } from "./dial.ts";
import type { Loop } from "./loop.ts";
import { formatAddress, peerOf } from "./peer.ts";
import { SocketConnection, type SocketConnectionOwner } from "./socket-connection.ts";
import type { ConnectionWaiter, UpstreamPoolOptions } from "./types.ts";

/**
 * The connections to one endpoint, and those who wait for one.
 *
 *     acquire -> top of `ready` that has room -> given out         (last in, first out: the few in use stay warm, the rest fall idle)
 *             -> none: wait, and dial if more may be open          one dial for each HTTP/1.1 waiter, one at a time for HTTP/2
 *     a stream ends -> onAvailable -> the longest waiting, otherwise back on `ready`
 *
 * `ready` is cleaned as it is read: a connection on it may have filled, drained or died since it was pushed.
 */
export class EndpointConnections implements SocketConnectionOwner {
  readonly #endpoint: Endpoint;
  readonly #shared: PoolShared;
  readonly #http2: boolean;
  readonly #open = new Set<UpstreamConnection>();
  readonly #ready: UpstreamConnection[] = [];
  #waiting: ConnectionWaiter[] = [];
  readonly #dials = new Set<() => void>();
  #serving = false;
  #removed = false;
  #bounds: ConnectionBounds | null = null;
  #gone: Promise<void> | null = null;
  #onEmpty: (() => void) | null = null;

  constructor(endpoint: Endpoint, shared: PoolShared) {
    this.#endpoint = endpoint;
    this.#shared = shared;
    this.#http2 = endpoint.protocol === "h2c" || endpoint.protocol === "h2";
  }

  /** Connections open, being dialled, and callers waiting. */
  get counts(): { open: number; dialling: number; waiting: number } {
    return { open: this.#open.size, dialling: this.#dials.size, waiting: this.#waiting.length };
  }

  acquire(waiter: ConnectionWaiter, bounds?: ConnectionBounds | null): ClientConnection | null {
    if (bounds !== undefined && bounds !== this.#bounds) this.#bind(bounds);
    // Nobody overtakes those who wait.
    if (this.#waiting.length === 0) {
      const machine = this.#takeReady();
      if (machine !== null) return machine;
    }
    const { protocol } = this.#endpoint;
    if (protocol === "tcp" || protocol === "udp") {
      const speaks = `endpoint ${this.#endpoint.id} (${this.#address()}) speaks ${protocol}: it takes sessions (TCPRoute, UDPRoute), no HTTP`;
      setImmediate(() => waiter.onConnectFailed(refused(speaks)));
      return null;
    }
    const maxWaiting = Math.min(this.#shared.maxWaiting, this.#bounds?.maxPending ?? Number.POSITIVE_INFINITY);
    if (this.#removed || this.#waiting.length >= maxWaiting) {
      const why = this.#removed
        ? "has been removed"
        : `has ${this.#waiting.length} callers waiting for a connection already`;
      const failure = refused(`endpoint ${this.#endpoint.id} (${this.#address()}) ${why}`);
      setImmediate(() => waiter.onConnectFailed(failure));
      return null;
    }
    this.#waiting.push(waiter);
    this.#dialMore();
    return null;
  }

  cancel(waiter: ConnectionWaiter): void {
    const index = this.#waiting.indexOf(waiter);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  get removed(): boolean {
    return this.#removed;
  }

  /** No more connections; those open drain, those waiting fail. Resolves when all are closed. */
  remove(): Promise<void> {
    this.#gone ??= this.#leave();
    return this.#gone;
  }

  #leave(): Promise<void> {
    this.#removed = true;
    for (const giveUp of this.#dials) giveUp();
    this.#dials.clear();
    this.#failWaiting(refused(`endpoint ${this.#endpoint.id} (${this.#address()}) has been removed`));
    for (const connection of this.#open) connection.machine.drain();
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#onEmpty = resolve));
  }

  /** Cuts what is still open. */
  cut(): void {
    for (const connection of this.#open) connection.destroy("upstream pool closed");
  }

  #address(): string {
    return formatAddress(this.#endpoint.host, this.#endpoint.port);
  }

  #takeReady(): ClientMachine | null {
    const ready = this.#ready;
    while (ready.length > 0) {
      const connection = ready[ready.length - 1];
      if (!connection.closed && connection.machine.available > 0) return connection.machine;
      connection.inReady = false;
      ready.pop();
    }
    return null;
  }

  #bind(bounds: ConnectionBounds | null): void {
    this.#bounds = bounds;
    for (const { machine } of this.#open) machine.maxStreams = bounds?.maxStreams ?? Number.POSITIVE_INFINITY;
  }

  #dialMore(): void {
    const { maxHttp1, maxHttp2 } = this.#shared;
    const wanted = this.#http2 ? Math.min(1, this.#waiting.length) : this.#waiting.length;
    const most = Math.min(this.#http2 ? maxHttp2 : maxHttp1, this.#bounds?.maxConnections ?? Number.POSITIVE_INFINITY);
    while (this.#dials.size < wanted && this.#open.size + this.#dials.size < most) this.#dial();
  }

  #dial(): void {
    let giveUp: () => void = () => {};
    const target: DialTarget = {
      onReady: (socket, http2) => {
        this.#dials.delete(giveUp);
        return this.#opened(socket, http2);
      },
      onFailed: (message) => {
        this.#dials.delete(giveUp);
        const failure: StreamFailure = { kind: "connect", code: 0, unprocessed: true, message };
        // While other connections are open they may still serve those who wait, except the one that this was dialled for.
        if (this.#open.size === 0) this.#failWaiting(failure);
        else if (this.#waiting.length > this.#dials.size) this.#waiting.shift()?.onConnectFailed(failure);
      },
    };
    giveUp = dial(this.#endpoint, this.#shared.options, this.#shared.connectTimeoutMs, target);
    this.#dials.add(giveUp);
  }

  #opened(socket: Socket, http2: boolean): ReadCallback {
    const mesh = this.#endpoint.identity !== undefined && (socket as Partial<TLSSocket>).encrypted === true;
    const connection = new UpstreamConnection(this.#shared, socket, this, http2, mesh, () =>
      this.#available(connection),
    );
    this.#open.add(connection);
    if (this.#bounds !== null) connection.machine.maxStreams = this.#bounds.maxStreams;
    connection.wake();
    this.#available(connection);
    return (chunk, start, end) => connection.receive(chunk, start, end);
  }

  #available(connection: UpstreamConnection): void {
    if (connection.closed) return;
    if (!connection.inReady) {
      connection.inReady = true;
      this.#ready.push(connection);
    }
    this.#serve();
  }

  #serve(): void {
    if (this.#serving) return; // a waiter's request ended at once and came back here: the loop below sees it
    this.#serving = true;
    try {
      while (this.#waiting.length > 0) {
        const machine = this.#takeReady();
        if (machine === null) break;
        (this.#waiting.shift() as ConnectionWaiter).onConnection(machine);
      }
    } finally {
      this.#serving = false;
    }
    if (this.#waiting.length > 0) this.#dialMore();
  }

  #failWaiting(failure: StreamFailure): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) waiter.onConnectFailed(failure);
  }

  onClosed(connection: SocketConnection): void {
    this.#open.delete(connection as UpstreamConnection);
    if (this.#waiting.length > 0) this.#dialMore();
    if (this.#open.size === 0 && this.#removed) this.#onEmpty?.();
  }

  onError(connection: SocketConnection, message: string): void {
    this.#shared.options.onConnectionError?.(connection.peer, message);
  }

  onTickUndecided(): void {}
}

/** What all endpoints of a pool have in common. */
export interface PoolShared {
  readonly options: UpstreamPoolOptions;
  readonly loop: Loop;
  readonly limits: Readonly<ConnectionLimits>;
  readonly heads: HeadCache<ResponseMessage>;
  readonly connectTimeoutMs: number;
  readonly maxHttp1: number;
  readonly maxHttp2: number;
  readonly maxWaiting: number;
}

class UpstreamConnection extends SocketConnection {
  declare machine: ClientMachine;
  /** On the endpoint's `ready`. */
  inReady = false;
  /** The socket keeps the process alive: only while a request is under way. */
  #held = true;
  readonly #background: boolean;

  constructor(
    shared: PoolShared,
    socket: Socket,
    owner: SocketConnectionOwner,
    http2: boolean,
    mesh: boolean,
    onAvailable: () => void,
  ) {
    const peer = peerOf(socket);
    super(shared.loop, socket, owner, peer, false, shared.limits.idleTimeoutMs);
    this.#background = shared.options.background === true;
    const options = { host: this, peer, limits: shared.limits, onAvailable };
    this.machine = http2
      ? createHttp2Client(mesh ? { ...options, keepalive: MESH_KEEPALIVE } : options)
      : createHttp1Client(options, shared.heads);
  }

  override receive(chunk: Uint8Array, start: number, end: number): boolean {
    const goesOn = super.receive(chunk, start, end);
    this.#hold();
    return goesOn;
  }

  /** A new request has output, so this runs before the loop could end. */
  override flush(): void {
    super.flush();
    this.#hold();
  }

  #hold(): void {
    const busy = this.machine.openStreams > 0 && !this.#background;
    if (busy === this.#held) return;
    this.#held = busy;
    if (busy) this.socket.ref();
    else this.socket.unref();
  }
}

/**
 * Peers of the mesh are weft's or Envoys, which take a PING as often as this; of others many do not. A stream has no time-out of its own: to a peer that hangs, or is cut
 * off, it would be open for ever.
 */
const MESH_KEEPALIVE = { intervalMs: 20_000, timeoutMs: 20_000 } as const;

function refused(message: string): StreamFailure {
  return { kind: "refused", code: 0, unprocessed: true, message };
}
