import type { Socket } from "node:net";
import type { CarrierState } from "../../call/carrier.ts";
import type { OnSessionEnd } from "../../call/sessions/session-call.ts";
import { type SessionDial, TcpSession } from "../../call/sessions/tcp-session.ts";
import { UdpSession } from "../../call/sessions/udp-session.ts";
import { portOfAddress } from "../../core/address.ts";
import type { ReadCallback } from "../../net/accept.ts";
import { ByteConnection } from "../../net/byte-connection.ts";
import { listenUdpSessions, type UdpSessionListener } from "../../net/udp-session-listener.ts";
import type { CallContext } from "../../policy/call.ts";
import { SessionRequest } from "../../policy/route/session-request.ts";
import type { IdSource } from "../../telemetry/trace.ts";
import type { PeerInfo } from "../../wire/stream.ts";
import type { Destination } from "./destination.ts";
import type { FollowedServices } from "./followed-services.ts";
import type { TakeBytes } from "./tunnels.ts";

export interface ByteSessionsOptions {
  readonly carrier: CarrierState;
  readonly ids: IdSource;
  /** The service that the application is. */
  readonly service: string;
  readonly services: FollowedServices;
  readonly dial: SessionDial;
  /** SPIFFE id of the application, "" when it has none. */
  readonly identity: () => string;
  readonly isStrict: (service: string) => boolean;
  readonly onEnd: OnSessionEnd;
}

/**
 * Connections whose bytes are not HTTP, beside an application:
 *
 *     inbound    through the gates that hold at a server, then to the application, once
 *     outbound   at place "sidecar": routes, balancers, retries of what did not connect; to the callee's sidecar by mutual TLS
 */
export class ByteSessions {
  readonly #options: ByteSessionsOptions;
  readonly #inbound = new OpenSessions();
  readonly #outbound = new OpenSessions();

  constructor(options: ByteSessionsOptions) {
    this.#options = options;
  }

  /** For the inbound listener. */
  readonly inbound = (socket: Socket, peer: PeerInfo, received: Uint8Array): ReadCallback => {
    const connection = new ByteConnection(socket, false);
    connection.unshift(received);
    const { service, ids } = this.#options;
    const request = new SessionRequest("TCP", service, portOfAddress(peer.localAddress));
    const { address: peerAddress, identity: peerIdentity, secure } = peer;
    const about = { place: "server", service, peerAddress, peerIdentity, secure, requestId: ids.next() } as const;
    this.#begin(connection, peer.localAddress, request, { ...about, ...SAME });
    return (chunk, start, end) => connection.receive(chunk, start, end);
  };

  /** For listeners of the application's own connections that know where each is to go; null refuses it. */
  outbound(
    given: (peer: PeerInfo) => Destination | null,
  ): (socket: Socket, peer: PeerInfo, received: Uint8Array) => ReadCallback | null {
    return (socket, peer, received) => {
      const destination = given(peer);
      if (destination === null) return null;
      const connection = new ByteConnection(socket, false);
      this.#goOut(connection, received, destination, peer.address, peer.localAddress);
      return (chunk, start, end) => connection.receive(chunk, start, end);
    };
  }

  /** For tunnels. */
  readonly take: TakeBytes = (stream, received, destination) => {
    this.#goOut(new ByteConnection(stream, true), received, destination, "127.0.0.1:0", "127.0.0.1:0");
  };

  /** Whether all that is known of a destination are endpoints for sessions of bytes: then nobody waits for the client's first ones. */
  isBytes(destination: Destination | null): boolean {
    return this.#allSpeak(destination, "tcp");
  }

  /** Datagrams to a service that takes some; null when it does not. */
  async listenUdp(host: string, port: number, destination: Destination | null): Promise<UdpSessionListener | null> {
    const { carrier, services, ids, isStrict, onEnd } = this.#options;
    if (destination?.kind !== "service") return null;
    const service = services.of(destination.follow);
    if (service === null) return null;
    await service.whenReady().catch(() => {});
    if (!this.#allSpeak(destination, "udp")) return null;
    return listenUdpSessions({
      host,
      port,
      clock: carrier.clock,
      onSession: (client) => {
        const request = new SessionRequest("UDP", destination.service, destination.port);
        const context = this.#outboundContext(destination.service, client.address, ids.next());
        const session = new UdpSession(carrier, client, request, context, { isStrict }, onEnd);
        session.begin();
        return session;
      },
    });
  }

  /** Those of callers end by themselves, or are cut after `timeoutMs`. */
  drainInbound(timeoutMs: number): Promise<void> {
    return this.#inbound.drain(timeoutMs);
  }

  /** Those of the application. */
  drainOutbound(timeoutMs: number): Promise<void> {
    return this.#outbound.drain(timeoutMs);
  }

  #allSpeak(destination: Destination | null, protocol: "tcp" | "udp"): boolean {
    if (destination?.kind !== "service") return false;
    const { policy, clock } = this.#options.carrier;
    const known = policy.describe(destination.follow, clock.now());
    return known.length > 0 && known.every(({ endpoint }) => endpoint.protocol === protocol);
  }

  #goOut(
    connection: ByteConnection,
    received: Uint8Array,
    destination: Destination,
    peerAddress: string,
    localAddress: string,
  ): void {
    connection.unshift(received);
    const { services, ids } = this.#options;
    const service = destination.kind === "service" ? services.of(destination.follow) : null;
    if (destination.kind !== "service" || service === null) return connection.destroy();
    const begin = (): void => {
      const request = new SessionRequest("TCP", destination.service, destination.port);
      const context = this.#outboundContext(destination.service, peerAddress, ids.next());
      this.#begin(connection, localAddress, request, context);
    };
    if (service.ready) begin();
    else service.whenReady().then(begin, () => connection.destroy());
  }

  #outboundContext(service: string, peerAddress: string, requestId: string): CallContext {
    const peerIdentity = this.#options.identity();
    return { place: "sidecar", service, peerAddress, peerIdentity, secure: false, requestId, ...SAME };
  }

  #begin(connection: ByteConnection, localAddress: string, request: SessionRequest, context: CallContext): void {
    const { carrier, dial, onEnd } = this.#options;
    const open = context.place === "server" ? this.#inbound : this.#outbound;
    const session: TcpSession = new TcpSession(
      carrier,
      connection,
      localAddress,
      request,
      context,
      // To the application itself it is plain text, whatever others are called by.
      context.place === "server" ? {} : dial,
      (...ended) => {
        open.remove(session);
        onEnd(...ended);
      },
    );
    open.add(session);
    session.begin();
  }
}

class OpenSessions {
  readonly #sessions = new Set<TcpSession>();
  #onEmpty: (() => void) | null = null;

  add(session: TcpSession): void {
    this.#sessions.add(session);
  }

  remove(session: TcpSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size === 0) this.#onEmpty?.();
  }

  async drain(timeoutMs: number): Promise<void> {
    if (this.#sessions.size > 0 && timeoutMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#onEmpty = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    for (const session of [...this.#sessions]) session.cut();
  }
}

/** What contexts of sessions have in common. */
const SAME = { asSent: null, deadline: Number.POSITIVE_INFINITY, callerAttempt: 0 } as const;
