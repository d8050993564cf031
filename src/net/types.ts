import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import type { ConnectionBounds } from "../core/connection-bounds.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { IdentitySource, MutualTls } from "../core/identity.ts";
import type { ConnectionLimits } from "../wire/limits.ts";
import type { ClientConnection, PeerInfo, RequestHandler, StreamFailure } from "../wire/stream.ts";
import type { ReadCallback } from "./accept.ts";

/** What net/ offers the layers above. Implementations: listener.ts (`listen`), pool.ts (`createUpstreamPool`). */
export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
  /** Stops accepting, drains every connection, resolves when all are closed or after `timeoutMs` (then the rest are cut). */
  drain(timeoutMs: number): Promise<void>;
  /** Closes now. */
  close(): Promise<void>;
}

export interface ListenOptions {
  /** Default "127.0.0.1". */
  host?: string;
  /** 0 (default) picks a free one. In use: WeftError("failed_precondition", reason "PORT_IN_USE") that names it. */
  port?: number;
  handler: RequestHandler;
  /** Absent: plain text. With TLS the protocol is chosen by ALPN, otherwise by the connection's first bytes. */
  tls?: TlsServerOptions;
  /** Takes connections of the mesh, as `mode` says when each arrives; a change of it leaves those that are open. Excludes `tls`. */
  mesh?: {
    readonly identity: IdentitySource;
    readonly mode: () => MutualTls;
    /** Callers that show no certificate are taken as well, over TLS that proves this side alone; one that is shown has to hold. Default false. */
    readonly anonymous?: boolean;
  };
  /** Of a listener in plain text. True: connections are closed as they come, for who listens must not be called so. */
  closed?: () => boolean;
  /** A forward proxy: CONNECT is taken over HTTP/1.1, too, and a target with a host is believed whatever the host field says. Default false. */
  proxy?: boolean;
  /**
   * Takes plain connections whose first bytes are of neither HTTP/1.1 nor HTTP/2, with what came; returns where the rest goes, or null to refuse it. From then
   * on the socket is the taker's: it closes it, and stopping to accept or draining leaves it alone. Absent: they are answered as HTTP that cannot be understood.
   */
  other?: (socket: Socket, peer: PeerInfo, received: Uint8Array) => ReadCallback | null;
  /** Whether a connection is `other`'s whatever it begins with: it is handed on at once, since the server may be who speaks first. */
  bytesOnly?: (peer: PeerInfo) => boolean;
  /** Connections on which nothing came for so long are `other`'s, too: of protocols in which the server speaks first. Plain sockets alone. Default: never. */
  otherAfterMs?: number;
  /** Whether a header of the PROXY protocol comes first from this address (no port), and is believed. Default: from none. */
  proxied?: (address: string) => boolean;
  limits?: Partial<ConnectionLimits>;
  clock?: Clock;
  /** False: accepted plain sockets read by ordinary 'data' events, not into one shared buffer. Default true. */
  sharedRead?: boolean;
  onConnection?: (peer: PeerInfo) => void;
  /** Told of each connection that is closed as it comes, since there are as many as `limits` allow. */
  onOverLimit?: (limit: "maxConnections" | "maxConnectionsPerAddress") => void;
  onConnectionError?: (peer: PeerInfo, message: string) => void;
}

export interface TlsServerOptions {
  cert: string | Uint8Array;
  key: string | Uint8Array;
  /** Certificates that clients must chain to, when client certificates are wanted. */
  ca?: string | Uint8Array;
  requireClientCertificate?: boolean;
}

export type { ConnectionLimits };

/** Connections to upstreams, shared by everything in a process: HTTP/2 multiplexed, HTTP/1.1 kept alive. */
export interface UpstreamPool {
  /**
   * A connection on which `endpoint` will take one more request now; the caller must call request() on it before returning to the
   * event loop. Null when one has to be made or freed first: then `waiter` is told, once, later (never during this call).
   * `bounds` hold for the endpoint's connections from then on, until others are given; null: the pool's own limits alone; absent: as they are.
   */
  acquire(endpoint: Endpoint, waiter: ConnectionWaiter, bounds?: ConnectionBounds | null): ClientConnection | null;
  /** The waiter no longer wants a connection. */
  cancel(endpoint: Endpoint, waiter: ConnectionWaiter): void;
  /** The endpoint is gone: its connections drain, its waiters fail as "refused". */
  remove(endpoint: Endpoint): void;
  /** Ends everything: drains for `drainMs`, then closes. */
  close(drainMs: number): Promise<void>;
}

export interface ConnectionWaiter {
  onConnection(connection: ClientConnection): void;
  /** kind "connect" or "refused"; always unprocessed. */
  onConnectFailed(failure: StreamFailure): void;
}

export interface UpstreamPoolOptions {
  clock?: Clock;
  /** TCP and TLS together. Default 5,000. */
  connectTimeoutMs?: number;
  limits?: Partial<ConnectionLimits>;
  /** HTTP/1.1: connections an endpoint may have. Default 256. HTTP/2: opened as streams need them, at most this many. Default 8. */
  maxConnectionsHttp1?: number;
  maxConnectionsHttp2?: number;
  /** Something above a connection threw; it was cut. */
  onConnectionError?: (peer: PeerInfo, message: string) => void;
  /** Open connections never keep the process alive, not even with requests under way. Default false: idle ones alone do not. */
  background?: boolean;
  /** Callers waiting for a connection to one endpoint; more fail as "refused". Default 1,024. */
  maxWaiting?: number;
  /** Endpoints that have an identity are called over mutual TLS, must prove it, and are shown this one. Without it they are called in plain text. */
  identity?: IdentitySource;
  /** How a service wants to be called, asked at each dial: "off" is called in plain text, "strict" is not called where its endpoint has no identity, or this process none. */
  mutualTls?: (service: string) => MutualTls;
  /** Where this process takes the calls that it makes by this pool: an endpoint there is not called, for it would go in a circle. */
  isOwn?: (host: string, port: number) => boolean;
  tls?: { ca?: string | Uint8Array; cert?: string | Uint8Array; key?: string | Uint8Array; serverName?: string };
}
