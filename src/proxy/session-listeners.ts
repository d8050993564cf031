import type { CarrierState } from "../call/carrier.ts";
import type { OnSessionEnd } from "../call/sessions/session-call.ts";
import { type SessionDial, TcpSession } from "../call/sessions/tcp-session.ts";
import { UdpSession, type UdpSessionOptions } from "../call/sessions/udp-session.ts";
import type { Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { listenTcp } from "../net/tcp-listener.ts";
import { listenUdpSessions } from "../net/udp-session-listener.ts";
import type { CallContext } from "../policy/call.ts";
import { type SessionProtocol, SessionRequest } from "../policy/route/session-request.ts";
import type { IdSource } from "../telemetry/trace.ts";
import type { PeerInfo } from "../wire/stream.ts";

/** A listener of the gateway for what is not HTTP, as the Gateway API has it: routes name it by its name (sectionName) or its port. */
export interface SessionListenerSpec {
  readonly name: string;
  /** TLS: passed through, routed by the server name that clients ask for. */
  readonly protocol: SessionProtocol;
  /** Default "127.0.0.1". */
  readonly host?: string;
  /** 0 picks a free one; routes by port do not match then. */
  readonly port: number;
}

export interface SessionListenersOptions extends SessionDial, Pick<UdpSessionOptions, "isStrict"> {
  readonly carrier: CarrierState;
  readonly clock: Clock;
  readonly ids: IdSource;
  /** Whether a header of the PROXY protocol comes first from an address. */
  readonly proxied?: (address: string) => boolean;
  readonly onEnd: OnSessionEnd;
  /** Connections that came to nothing before policy could look at them. */
  readonly onRefused: (peer: PeerInfo, message: string) => void;
}

export interface SessionListeners {
  readonly addresses: readonly (SessionListenerSpec & { readonly host: string })[];
  /** Sessions open now. */
  readonly sessions: number;
  /** Datagrams that were not taken. */
  readonly dropped: number;
  drain(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens them all, or none. Rejects as listen() does, the listener named. */
export async function openSessionListeners(
  specs: readonly SessionListenerSpec[],
  options: SessionListenersOptions,
): Promise<SessionListeners> {
  const open: Open[] = [];
  try {
    for (const spec of specs) open.push(await openOne(spec, options));
  } catch (thrown) {
    await Promise.all(open.map(({ close }) => close()));
    throw thrown;
  }
  return {
    addresses: open.map(({ address }) => address),
    get sessions() {
      return open.reduce((sum, { sessions }) => sum + sessions(), 0);
    },
    get dropped() {
      return open.reduce((sum, { dropped }) => sum + dropped(), 0);
    },
    drain: async (timeoutMs) => void (await Promise.all(open.map(({ drain }) => drain(timeoutMs)))),
    close: async () => void (await Promise.all(open.map(({ close }) => close()))),
  };
}

interface Open {
  readonly address: SessionListenerSpec & { readonly host: string };
  readonly sessions: () => number;
  readonly dropped: () => number;
  readonly drain: (timeoutMs: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

async function openOne(spec: SessionListenerSpec, options: SessionListenersOptions): Promise<Open> {
  try {
    return await (spec.protocol === "UDP" ? openUdp(spec, options) : openTcp(spec, options));
  } catch (thrown) {
    if (!(thrown instanceof WeftError)) throw thrown;
    throw new WeftError(thrown.code, `listener ${spec.name}: ${thrown.message}`, {
      reason: thrown.reason,
      cause: thrown,
    });
  }
}

async function openTcp(spec: SessionListenerSpec, options: SessionListenersOptions): Promise<Open> {
  const { carrier, clock, ids, proxied, onEnd, onRefused } = options;
  let { port } = spec;
  const listener = await listenTcp({
    host: spec.host,
    port,
    clock,
    proxied,
    clientHello: spec.protocol === "TLS",
    onRefused,
    onConnection(connection, { peer, serverName }) {
      const request = new SessionRequest(spec.protocol, spec.name, port, serverName);
      const context = gatewayContext(peer.address, ids.next());
      new TcpSession(carrier, connection, peer.localAddress, request, context, options, onEnd).begin();
    },
  });
  port = listener.port;
  return {
    address: { ...spec, host: listener.host, port },
    sessions: () => listener.connections,
    dropped: () => 0,
    drain: (timeoutMs) => listener.drain(timeoutMs),
    close: () => listener.close(),
  };
}

async function openUdp(spec: SessionListenerSpec, options: SessionListenersOptions): Promise<Open> {
  const { carrier, clock, ids, onEnd, isStrict } = options;
  let { port } = spec;
  const listener = await listenUdpSessions({
    host: spec.host,
    port,
    clock,
    onSession(client) {
      const request = new SessionRequest("UDP", spec.name, port);
      const session = new UdpSession(
        carrier,
        client,
        request,
        gatewayContext(client.address, ids.next()),
        { isStrict },
        onEnd,
      );
      session.begin();
      return session;
    },
  });
  port = listener.port;
  return {
    address: { ...spec, host: listener.host, port },
    sessions: () => listener.sessions,
    dropped: () => listener.dropped,
    drain: (timeoutMs) => listener.drain(timeoutMs),
    close: () => listener.close(),
  };
}

function gatewayContext(peerAddress: string, requestId: string): CallContext {
  return {
    place: "gateway",
    service: "",
    asSent: null,
    peerAddress,
    peerIdentity: "",
    secure: false,
    deadline: Number.POSITIVE_INFINITY,
    callerAttempt: 0,
    requestId,
  };
}
