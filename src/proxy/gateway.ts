import { CarrierState } from "../call/carrier.ts";
import { sampleLoad } from "../call/load-sampler.ts";
import { composeQueries, type QueryHandler } from "../call/queries/queries.ts";
import { createSecurityQueries } from "../call/queries/security-queries.ts";
import { sharedLimitQuery } from "../call/queries/shared-limit-query.ts";
import { tellTime } from "../call/queries/tell-time.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { IdentitySource } from "../core/identity.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { TimerWheel } from "../core/timer-wheel.ts";
import type { Link } from "../link/types.ts";
import { listen } from "../net/listener.ts";
import { createUpstreamPool } from "../net/pool.ts";
import type { Listener, TlsServerOptions, UpstreamPoolOptions } from "../net/types.ts";
import type { SharedLimits } from "../policy/limit/shared-limit.ts";
import type { QueryKind } from "../policy/machine/query.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
import { IdSource } from "../telemetry/trace.ts";
import type { ConnectionLimits } from "../wire/limits.ts";
import type { PeerInfo } from "../wire/stream.ts";
import { type AccessLogMode, createAccessLog } from "./access-log.ts";
import { createAdminHandler } from "./admin.ts";
import { cacheMetrics } from "./cache-metrics.ts";
import { createCallMetrics } from "./call-metrics.ts";
import { decisionPage } from "./decision-page.ts";
import { faultMetrics } from "./fault-metrics.ts";
import { createProxyHandler } from "./handler.ts";
import { limitMetrics } from "./limit-metrics.ts";
import { objectiveMetrics } from "./objective-metrics.ts";
import { processGauges } from "./process-gauges.ts";
import { recordingPage } from "./recording-page.ts";
import { resilienceMetrics } from "./resilience-metrics.ts";
import { securityMetrics } from "./security-metrics.ts";
import type { SessionListenerSpec, SessionListeners } from "./session-listeners.ts";
import { TrustedProxies } from "./trusted-proxies.ts";

export interface GatewayOptions {
  listen: { host?: string; port?: number; tls?: TlsServerOptions };
  /** Metrics and health; null for none. Default: a free port on loopback. */
  admin?: { host?: string; port?: number } | null;
  /** What decides. Whoever makes the gateway keeps it supplied (through `link`, or by hand with static endpoints). */
  policy: PolicyRuntime;
  /** Contracts come from here: REST is transcoded and reflection answered. Without it requests only pass through. */
  link?: Link | null;
  limits?: Partial<ConnectionLimits>;
  /** Who keeps the limits of the whole system. Default: leases from the control plane of `link`; without either each process keeps to its share. */
  sharedLimits?: SharedLimits;
  /** Endpoints that speak TLS: whom to trust (default: the system's authorities) and the gateway's own certificate. */
  upstreamTls?: UpstreamPoolOptions["tls"];
  /** Who the gateway is to the services of its system. */
  identity?: IdentitySource | null;
  /** Default "errors". */
  accessLog?: AccessLogMode;
  /** Gets the access log's lines. Default: standard output. */
  write?: (text: string) => void;
  /** What goes wrong outside of calls: a contract that cannot be used, a connection that broke the protocol. Default: standard error. */
  onProblem?: (error: WeftError) => void;
  /** Load balancers and proxies in front, by address or network ("10.0.0.0/8"), whose x-forwarded-* is believed: policy and the log then go by the client's address.
   * Default none: what callers say is replaced. */
  trustedProxies?: readonly string[];
  /** Load balancers in front that say by a header of the PROXY protocol, versions 1 or 2, who connected, by address or network; from them it must come. Default none. */
  proxyProtocol?: readonly string[];
  /** Beside HTTP: listeners for TCP, UDP and TLS that is passed through. */
  listeners?: readonly SessionListenerSpec[];
  /** Largest REST body and message where REST is turned into gRPC. Default 4 MiB. */
  maxMessageBytes?: number;
  /** What all such bodies may hold together while they arrive; more are refused with 429. Default 64 MiB. */
  maxBufferedBytes?: number;
  /** Who answers what policy asks the outside, beside what security asks, which the gateway does itself. */
  queries?: Partial<Record<QueryKind, QueryHandler>>;
  /** Records calls into a ring of files, for `weft replay`; null (default) for not. */
  record?: { folder: string; sample?: number; maxBytes?: number; keepHeaders?: readonly string[] } | null;
  clock?: Clock;
  random?: Random;
}

export interface Gateway {
  readonly host: string;
  readonly port: number;
  readonly admin: { readonly host: string; readonly port: number } | null;
  /** Of what is not HTTP. */
  readonly listeners: SessionListeners["addresses"];
  readonly metrics: Metrics;
  /** Stops accepting, lets calls in flight end for at most `drainMs`, closes everything. */
  stop(drainMs: number): Promise<void>;
}

/** Starts the data plane at the edge: one listener for HTTP/1.1, HTTP/2, gRPC and WebSocket, and its admin address. Rejects PORT_IN_USE. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const clock = options.clock ?? systemClock;
  const { policy, limits } = options;
  const onProblem = options.onProblem ?? ((error) => process.stderr.write(`gateway: ${error.message}\n`));
  const trustedProxies = options.trustedProxies?.length ? new TrustedProxies(options.trustedProxies) : null;
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
    tls: options.upstreamTls,
    ...(options.identity && { identity: options.identity }),
    mutualTls: (service) => policy.mutualTls(service),
  });
  const timers = new TimerWheel(clock);
  const security = createSecurityQueries({
    clock,
    onProblem: (message) => onProblem(new WeftError("failed_precondition", message, { reason: "SECURITY_SOURCE" })),
  });
  const query = composeQueries({
    ...security.handlers,
    "shared-limit": sharedLimitQuery(() => options.sharedLimits ?? options.link?.limits ?? null),
    ...options.queries,
  });
  const carrier = new CarrierState({ policy, pool, clock, timers, query });
  const stopTellingTime = tellTime(policy, clock);
  const stopSampling = sampleLoad(policy, clock);
  const { rest, transcode, local } = options.link ? await described(options.link) : PASSED_THROUGH;

  const handler = createProxyHandler({
    carrier,
    clock,
    ids: new IdSource(options.random ?? systemRandom),
    rest,
    transcode,
    local,
    trustedProxies,
    maxMessageBytes: options.maxMessageBytes ?? 4_194_304,
    maxBufferedBytes: options.maxBufferedBytes ?? 67_108_864,
    onEnd(request, peer, decision) {
      calls.record(decision);
      accessLog.record(request, peer, decision);
    },
  });
  const proxies = options.proxyProtocol?.length ? new TrustedProxies(options.proxyProtocol) : null;
  const proxied = proxies === null ? undefined : (address: string): boolean => proxies.has(address);
  const onRefused = (peer: PeerInfo, message: string): void =>
    onProblem(new WeftError("invalid_argument", `from ${peer.address}: ${message}`, { reason: "CONNECTION_REFUSED" }));
  const listener = await listen({
    ...options.listen,
    handler,
    limits,
    clock,
    ...(proxied && { proxied, onConnectionError: onRefused }),
  });
  const sessions = await openSessions().catch(async (error) => {
    await listener.close();
    throw error;
  });
  let draining = false;
  local?.status.set("serving");
  securityMetrics(metrics, policy);
  limitMetrics(metrics, policy);
  resilienceMetrics(metrics, policy);
  faultMetrics(metrics, policy);
  cacheMetrics(metrics, policy);
  objectiveMetrics(metrics, policy, clock);
  gauges(metrics, { policy, listener, sessions, inFlight: () => carrier.inFlight });
  const admin = await startAdmin().catch(async (error) => {
    await Promise.all([listener.close(), sessions?.close()]);
    throw error;
  });

  const recording = options.record ? await record(options.record) : null;

  return {
    host: listener.host,
    port: listener.port,
    admin: admin === null ? null : { host: admin.host, port: admin.port },
    listeners: sessions?.addresses ?? [],
    metrics,
    async stop(drainMs) {
      draining = true;
      local?.status.set("draining");
      await Promise.all([listener.drain(drainMs), sessions?.drain(drainMs)]);
      await recording?.stop();
      await pool.close(0);
      await security.close();
      stopTellingTime();
      stopSampling();
      accessLog.flush();
      await admin?.close();
    },
  };

  async function record({ folder, sample = 1, maxBytes, keepHeaders = [] }: NonNullable<GatewayOptions["record"]>) {
    const { recordToFolder } = await import("./recording-folder.ts");
    return recordToFolder({
      policy,
      clock,
      process: "gateway",
      folder,
      sample,
      maxBytes,
      keepHeaders,
      onEnd: (error) => error && onProblem(error),
    });
  }

  /** Loaded only where there are some. */
  async function openSessions(): Promise<SessionListeners | null> {
    if (options.listeners === undefined || options.listeners.length === 0) return null;
    const { openSessionListeners } = await import("./session-listeners.ts");
    return openSessionListeners(options.listeners, {
      carrier,
      clock,
      ids: new IdSource(options.random ?? systemRandom),
      proxied,
      isStrict: (service) => policy.mutualTls(service) === "strict",
      ...(options.identity && { identity: options.identity }),
      mutualTls: (service) => policy.mutualTls(service),
      onRefused,
      onEnd(request, { peerAddress }, decision) {
        calls.record(decision);
        accessLog.record(request, peerAddress, decision);
      },
    });
  }

  /** What the services' contracts describe. Loaded only where there are contracts: it brings the Protocol Buffers runtime and much of service/ with it. */
  async function described(link: Link) {
    const [{ createRest }, { createLocalServices }, { transcode }] = await Promise.all([
      import("./rest.ts"),
      import("./local-services.ts"),
      import("./transcoded-call.ts"),
    ]);
    const rest = createRest(policy, onProblem);
    link.watchContracts((contracts) => rest.setContracts(contracts));
    return { rest, transcode, local: createLocalServices(rest, clock, timers) };
  }

  async function startAdmin(): Promise<Listener | null> {
    if (options.admin === null) return null;
    const notReady = () =>
      draining ? "draining" : options.link && policy.endpointVersion === 0 ? "no endpoints are known yet" : null;
    const pages = { "/decisions": decisionPage(policy, clock) };
    const streams = { "/record": recordingPage(policy, clock, "gateway") };
    return listen({ ...options.admin, clock, handler: createAdminHandler({ metrics, notReady, pages, streams }) });
  }
}

const PASSED_THROUGH = { rest: null, transcode: null, local: null };

interface Seen {
  readonly policy: PolicyRuntime;
  readonly listener: Listener;
  readonly sessions: SessionListeners | null;
  readonly inFlight: () => number;
}

function gauges(metrics: Metrics, seen: Seen): void {
  const { policy, inFlight, listener, sessions } = seen;
  processGauges(metrics, { policy, inFlight, connections: () => listener.connections });
  if (sessions === null) return;
  const open = metrics.gauge("weft_sessions", "Open sessions: TCP, UDP and TLS that is passed through.").with();
  const dropped = metrics
    .gauge("weft_udp_dropped", "Datagrams without a session for which there was no room, since the start.")
    .with();
  metrics.onCollect(() => {
    open.set(sessions.sessions);
    dropped.set(sessions.dropped);
  });
}
