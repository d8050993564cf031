import { CarrierState } from "../../call/carrier.ts";
import { sampleLoad } from "../../call/load-sampler.ts";
import { composeQueries } from "../../call/queries/queries.ts";
import { createSecurityQueries } from "../../call/queries/security-queries.ts";
import { sharedLimitQuery } from "../../call/queries/shared-limit-query.ts";
import { tellTime } from "../../call/queries/tell-time.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { withTags } from "../../core/endpoint-tags.ts";
import { WeftError } from "../../core/errors.ts";
import type { IdentitySource, MutualTls } from "../../core/identity.ts";
import { type Random, systemRandom } from "../../core/random.ts";
import { TimerWheel } from "../../core/timer-wheel.ts";
import type { Link } from "../../link/types.ts";
import { listen } from "../../net/listener.ts";
import { OriginalDestinations } from "../../net/original-destination.ts";
import { createUpstreamPool } from "../../net/pool.ts";
import { createTunnelServer } from "../../net/tunnel-server.ts";
import type { Listener } from "../../net/types.ts";
import type { UdpSessionListener } from "../../net/udp-session-listener.ts";
import type { PolicyRuntime } from "../../policy/runtime.ts";
import { closedWhenStrict } from "../../service/closed-when-strict.ts";
import { InFlight } from "../../service/environment.ts";
import { LoadMeter, type ServerLoad } from "../../service/load-meter.ts";
import { ServedCalls } from "../../service/served-calls.ts";
import { createMetrics, type Metrics } from "../../telemetry/metrics.ts";
import { IdSource } from "../../telemetry/trace.ts";
import type { Head } from "../../wire/head.ts";
import type { ConnectionLimits } from "../../wire/limits.ts";
import type { PeerInfo } from "../../wire/stream.ts";
import { type AccessLogMode, createAccessLog } from "../access-log.ts";
import { createAdminHandler } from "../admin.ts";
import { type CallEnd, isServerError } from "../call-end.ts";
import { createCallMetrics } from "../call-metrics.ts";
import { decisionPage } from "../decision-page.ts";
import { faultMetrics } from "../fault-metrics.ts";
import { limitMetrics } from "../limit-metrics.ts";
import { objectiveMetrics } from "../objective-metrics.ts";
import { processGauges } from "../process-gauges.ts";
import { resilienceMetrics } from "../resilience-metrics.ts";
import { securityMetrics } from "../security-metrics.ts";
import { Application, type AppProtocol } from "./application.ts";
import { ByteSessions } from "./byte-sessions.ts";
import type { Destination } from "./destination.ts";
import { Egress, type EgressMode } from "./egress.ts";
import { FollowedServices } from "./followed-services.ts";
import { createInboundHandler } from "./inbound.ts";
import { createOutbound, type Outbound } from "./outbound.ts";
import { takeIntercepted } from "./transparent.ts";

export interface Address {
  host?: string;
  port?: number;
}

export interface SidecarOptions {
  /** What the application is in the registry. */
  service: string;
  /** Where the application listens. */
  app: { host: string; port: number };
  /** Default "auto". */
  appProtocol?: AppProtocol;
  /** How the application is checked: "tcp" (default), "http:/healthz", "grpc" or "grpc:SERVICE". */
  health?: string;
  /** Of the application's endpoint; default "". */
  version?: string;
  zone?: string;
  /** Of the application's endpoint. Default: none. */
  tags?: readonly string[];
  /** Id of the endpoint. Default: made of service and address. */
  instance?: string;
  /** The host that callers are told, when it differs from where the inbound side listens. */
  advertise?: string;
  /** Where calls for the application come in. Default: a free port of 127.0.0.1. */
  listen?: Address;
  /** Where the application's own calls are taken. Default: a free port of 127.0.0.1. */
  outbound?: Address;
  /** Metrics and health; null for none. Default: a free port of 127.0.0.1. */
  admin?: Address | null;
  /** Decides about both sides. Whoever makes the sidecar keeps it supplied (through `link`, or by hand). */
  policy: PolicyRuntime;
  /** Follows the services that the application uses, and registers it. Null: policy has all there is, and nobody registers. */
  link?: Link | null;
  /** Who the application is to others. Null: plain text both ways. */
  identity?: IdentitySource | null;
  /** How calls are taken when there is an identity. Default: as policy says. */
  mutualTls?: () => MutualTls;
  /** Default "any". */
  egress?: EgressMode;
  limits?: Partial<ConnectionLimits>;
  /** Default "errors". */
  accessLog?: AccessLogMode;
  /** Gets the access log's lines. Default: standard output. */
  write?: (text: string) => void;
  /** What goes wrong outside of calls. Default: standard error. */
  onProblem?: (error: WeftError) => void;
  clock?: Clock;
  random?: Random;
}

export interface Sidecar {
  readonly inbound: { readonly host: string; readonly port: number };
  readonly outbound: { readonly host: string; readonly port: number };
  readonly admin: { readonly host: string; readonly port: number } | null;
  readonly metrics: Metrics;
  /** Resolves when the application has been met for the first time: what it speaks and serves is known, and its registration begins. */
  readonly met: Promise<void>;
  /** Another way in for the application's calls, which `given` says where to take; HTTP as on the outbound listener, anything else as bytes. */
  listenOutbound(at: Address, given: (localAddress: string) => Destination | null): Promise<Listener>;
  /** Takes connections that were redirected here (weft intercept): HTTP by its authority, TLS by its server name, others to where they were to go. */
  listenTransparent(at: Address): Promise<Listener>;
  /** How much the application has to do, as the line to the control plane reports it. */
  load(): ServerLoad;
  /** The inbound half of stopping: leaves the registry and lets calls for the application end; what the application calls still goes out. */
  drain(drainMs: number): Promise<void>;
  /** Leaves the registry, lets calls in flight end for at most `drainMs`, those that the application makes for them among them, and closes everything. */
  stop(drainMs: number): Promise<void>;
}

/**
 * Starts the data plane beside one instance of a service: whoever calls it comes in here, and what it calls goes out here. Rejects PORT_IN_USE.
 *
 *     callers --mTLS--> inbound  --gates at "server"-------------> application
 *     application ----> outbound --routes, retries at "sidecar"--> sidecars of others, hosts outside
 */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  const clock = options.clock ?? systemClock;
  const { policy, limits, link = null, identity = null, service } = options;
  const onProblem = options.onProblem ?? ((error) => process.stderr.write(`sidecar: ${error.message}\n`));
  const metrics = createMetrics();
  const calls = createCallMetrics(metrics);
  const accessLog = createAccessLog(
    options.accessLog ?? "errors",
    clock,
    options.write ?? ((text) => process.stdout.write(text)),
  );
  const pool = createUpstreamPool({
    clock,
    limits,
    ...(identity && { identity }),
    mutualTls: (name) => policy.mutualTls(name),
    isOwn: (host, port) => isOwn(host, port),
  });
  const timers = new TimerWheel(clock);
  const security = createSecurityQueries({
    clock,
    onProblem: (message) => onProblem(new WeftError("failed_precondition", message, { reason: "SECURITY_SOURCE" })),
  });
  const query = composeQueries({ ...security.handlers, "shared-limit": sharedLimitQuery(() => link?.limits ?? null) });
  const carrier = new CarrierState({ policy, pool, clock, timers, query });
  const stopTellingTime = tellTime(policy, clock);
  const stopSampling = sampleLoad(policy, clock);
  const ids = new IdSource(options.random ?? systemRandom);
  const egress = new Egress(options.egress ?? "any", clock);
  const onConnectionError = (address: string, message: string): void =>
    onProblem(new WeftError("internal", `connection of ${address}: ${message}`, { reason: "CONNECTION_FAILED" }));
  const tunnels = createTunnelServer({ clock, limits, onConnectionError });
  const onEnd = (request: Head, peer: string, end: CallEnd): void => {
    calls.record(end);
    accessLog.record(request, peer, end);
  };
  const services = new FollowedServices(link, policy);
  const sessions = new ByteSessions({
    carrier,
    ids,
    service,
    services,
    dial: { ...(identity && { identity }), mutualTls: (name) => policy.mutualTls(name) },
    identity: () => identity?.id ?? "",
    isStrict: (name) => policy.mutualTls(name) === "strict",
    onEnd(request, { peerAddress }, decision) {
      calls.record(decision);
      accessLog.record(request, peerAddress, decision);
    },
  });
  // Of the calls for the application: what the registry's readers are told of its load.
  const inFlight = new InFlight();
  const served = new ServedCalls(clock);
  const onInboundEnd: typeof onEnd = (request, peer, end) => {
    inFlight.end();
    served.calls++;
    if (isServerError(end)) served.errors++;
    served.latency.record(end.durationMs);
    onEnd(request, peer, end);
  };
  const bytes = sessions.take;

  const listeners: Listener[] = [];
  const isOwn = (host: string, port: number): boolean =>
    LOOPBACK.has(host) &&
    listeners.some((own) => own.port === port && (LOOPBACK.has(own.host) || ANY_ADDRESS.has(own.host)));
  const outbound: Outbound = createOutbound({
    carrier,
    clock,
    ids,
    services,
    egress,
    tunnels,
    bytes,
    identity: () => identity?.id ?? "",
    isOwn,
    onEnd,
  });
  const mutualTls = options.mutualTls ?? ((name: string): MutualTls => policy.mutualTls(name));
  const inbound = await listen({
    ...options.listen,
    handler: createInboundHandler({
      carrier,
      clock,
      ids,
      service,
      onBegin: () => inFlight.begin(),
      onEnd: onInboundEnd,
    }),
    ...(identity === null
      ? { closed: closedWhenStrict(service, { mutualTls }, onProblem) }
      : { mesh: { identity, mode: () => mutualTls(service) } }),
    other: sessions.inbound,
    bytesOnly: () => options.appProtocol === "tcp",
    limits,
    clock,
    onConnectionError: (peer, message) => onConnectionError(peer.address, message),
  });
  const listenOutbound: Sidecar["listenOutbound"] = async (at, given) => {
    const where = (peer: PeerInfo): Destination | null => given(peer.localAddress);
    const listener = await listen({
      ...at,
      handler: outbound.handler(where),
      other: sessions.outbound(where),
      bytesOnly: (peer) => sessions.isBytes(where(peer)),
      proxy: true,
      limits,
      clock,
    });
    const { host, port } = listener;
    let datagrams: UdpSessionListener | null;
    try {
      datagrams = await sessions.listenUdp(host, port, given(`${host}:${port}`));
    } catch (thrown) {
      await listener.close();
      // Free for connections was not free for datagrams; another may be for both.
      if (!at.port && thrown instanceof WeftError && thrown.reason === "PORT_IN_USE") return listenOutbound(at, given);
      throw thrown;
    }
    const both = withDatagrams(listener, datagrams);
    listeners.push(both);
    return {
      host,
      port,
      get connections() {
        return both.connections;
      },
      drain: (ms) => both.drain(ms),
      close() {
        const at = listeners.indexOf(both);
        if (at >= 0) listeners.splice(at, 1);
        return both.close();
      },
    };
  };
  const originals = new OriginalDestinations();
  const listenTransparent: Sidecar["listenTransparent"] = async (at) => {
    const listener = await listen({
      ...at,
      handler: outbound.handler(() => null),
      other: takeIntercepted({ egress, bytes, original: (peer) => originals.of(peer), isOwn, onProblem }),
      otherAfterMs: SILENT_MS,
      sharedRead: false,
      proxy: true,
      limits,
      clock,
    });
    listeners.push(listener);
    return listener;
  };
  const closeAll = async (): Promise<void> => {
    await Promise.all([inbound, ...listeners].map((listener) => listener.close()));
  };
  let draining = false;
  let application: Application | null = null;
  try {
    const out = await listenOutbound(options.outbound ?? {}, () => null);
    const admin = await startAdmin();
    const connections = (): number =>
      listeners.reduce((sum, listener) => sum + listener.connections, inbound.connections + tunnels.connections);
    processGauges(metrics, { policy, inFlight: () => carrier.inFlight, connections });
    securityMetrics(metrics, policy);
    limitMetrics(metrics, policy);
    resilienceMetrics(metrics, policy);
    faultMetrics(metrics, policy);
    objectiveMetrics(metrics, policy, clock);
    const host = options.advertise || (ANY_ADDRESS.has(inbound.host) ? "127.0.0.1" : inbound.host);
    const endpointId = options.instance || `${service}@${host}:${inbound.port}`;
    application = new Application({
      ...options.app,
      protocol: options.appProtocol ?? "auto",
      health: options.health ?? "tcp",
      clock,
      policy,
      link,
      onProblem,
      endpoint: {
        id: endpointId,
        service,
        host,
        port: inbound.port,
        version: options.version ?? "",
        zone: options.zone ?? "",
        weight: 1,
        protocol: options.appProtocol === "tcp" ? "tcp" : "h2c",
        metadata: withTags({}, options.tags ?? []),
        ...(identity && { identity: identity.id }),
      },
    });
    const app = application;
    const meter = new LoadMeter(endpointId, inFlight, served, clock);
    let drained: Promise<void> | null = null;
    const leave = async (until: number): Promise<void> => {
      draining = true;
      // Callers hear of it before the port refuses them. Without the control plane they find out from GOAWAY, and send again.
      await Promise.race([app.leave().catch(() => {}), pause(clock, LEAVE_MS)]);
      const left = (): number => Math.max(0, until - clock.now());
      if (link !== null) await pause(clock, Math.min(SPREAD_MS, left()));
      await Promise.all([inbound.drain(left()), sessions.drainInbound(left())]);
    };
    const drain = (drainMs: number): Promise<void> => (drained ??= leave(clock.now() + drainMs));
    return {
      inbound: { host: inbound.host, port: inbound.port },
      outbound: { host: out.host, port: out.port },
      admin: admin === null ? null : { host: admin.host, port: admin.port },
      metrics,
      met: app.met,
      listenOutbound,
      listenTransparent,
      load: () => meter.read(),
      drain,
      async stop(drainMs) {
        const until = clock.now() + drainMs;
        const left = (): number => Math.max(0, until - clock.now());
        await drain(drainMs);
        // What the application still does for calls that have ended may call others.
        tunnels.drain();
        await Promise.all([sessions.drainOutbound(left()), ...listeners.map((listener) => listener.drain(left()))]);
        await Promise.race([app.close().catch(() => {}), pause(clock, LEAVE_MS)]);
        await pool.close(0);
        await egress.close();
        await security.close();
        stopTellingTime();
        stopSampling();
        accessLog.flush();
        await admin?.close();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }

  async function startAdmin(): Promise<Listener | null> {
    if (options.admin === null) return null;
    const notReady = (): string | null => (draining ? "draining" : (application?.notReady ?? null));
    const pages = { "/decisions": decisionPage(policy, clock) };
    return listen({ ...options.admin, clock, handler: createAdminHandler({ metrics, notReady, pages, streams: {} }) });
  }
}

/** A listener for connections, and one for datagrams at the same port, as one. */
function withDatagrams(listener: Listener, datagrams: UdpSessionListener | null): Listener {
  if (datagrams === null) return listener;
  return {
    host: listener.host,
    port: listener.port,
    get connections() {
      return listener.connections + datagrams.sessions;
    },
    drain: async (ms) => void (await Promise.all([listener.drain(ms), datagrams.drain(ms)])),
    close: async () => void (await Promise.all([listener.close(), datagrams.close()])),
  };
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}

const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "::1"]);
const ANY_ADDRESS: ReadonlySet<string> = new Set(["0.0.0.0", "::", ""]);
/** Clients that wait for their server's first word. */
const SILENT_MS = 300;
/** How long the control plane may take to acknowledge that an endpoint leaves. */
const LEAVE_MS = 2_000;
/** Deltas reach callers within this time; until then the port goes on taking calls. */
const SPREAD_MS = 200;
