import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { assertHealthCheckOptions, type HealthCheckOptions } from "../call/health/health-check.ts";
import { Control } from "../contract/gen/weft/control/v1/control.ts";
import { hostPort } from "../core/address.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { formatControlPin } from "../core/control-pin.ts";
import type { Registry } from "../registry/registry.ts";
import { assertServiceName } from "../registry/validate.ts";
import { type AnyServiceDefinition, service } from "../service/definition.ts";
import type { ServerInterceptor } from "../service/interceptor.ts";
import { createRuntime } from "../service/runtime.ts";
import { type Server, serve } from "../service/serve.ts";
import type { KeyValue } from "../settings/key-value.ts";
import { KeyValueRevisions } from "../settings/key-value-revisions.ts";
import { MemoryKeyValue } from "../settings/memory-key-value.ts";
import type { RevisionStore } from "../settings/revision-store.ts";
import type { SettingsKeys } from "../settings/sealed.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
import { accessControl } from "./access/access-control.ts";
import { createAccessService } from "./access/access-service.ts";
import { AdminTokens } from "./access/admin-tokens.ts";
import { AuditLog } from "./access/audit-log.ts";
import { countRefusals } from "./access/refused-counts.ts";
import { requestLimits } from "./access/request-limits.ts";
import { createAdminService } from "./admin.ts";
import { Authority, type AuthorityOptions } from "./authority/authority.ts";
import { AuthorityFile } from "./authority/authority-file.ts";
import { createIdentityService } from "./authority/identity-service.ts";
import { JoinTokens } from "./authority/join-tokens.ts";
import { Catalog } from "./catalog.ts";
import type { ConsulApi, ConsulApiListen } from "./consul-api/consul-api.ts";
import { ContractStore } from "./contract-store.ts";
import { controlMetrics } from "./control-metrics.ts";
import { createEndpointsService } from "./endpoints-service.ts";
import { createFleetService, Fleet } from "./fleet.ts";
import { refuseForeignPages } from "./foreign-page.ts";
import { HealthChecker } from "./health-checker.ts";
import { Hub, type Publishers } from "./hub.ts";
import { Ledger } from "./ledger.ts";
import { type ControlLimits, defaultControlLimits } from "./limits.ts";
import { XdsPlanes } from "./mesh/xds-planes.ts";
import { ObservedStore } from "./observed-store.ts";
import { createPeersService } from "./peers/peers-service.ts";
import { refusePlainText } from "./plain-text.ts";
import { enforcingOf, presentPlanes } from "./present-planes.ts";
import type { Publication, Published, ResourceCheck } from "./publication.ts";
import { ResourceChecker } from "./resource-check.ts";
import { KEPT_REVISIONS, retainRevisions } from "./retain-revisions.ts";
import { Session } from "./session.ts";
import { SettingsCentre } from "./settings/settings-centre.ts";
import { joinOthers } from "./several.ts";
import { createMeshXds, type MeshXds } from "./xds/mesh-xds.ts";
import { SidecarEndpoints } from "./xds/sidecar-endpoints.ts";

export interface ControlPlaneOptions {
  /** Where endpoints live. Chosen by whoever starts the control plane, which closes it when it stops. */
  registry: Registry;
  /** Folder of the authority's files, made if need be. "" (default) keeps nothing. */
  dataDir?: string;
  /** What control planes share, and all that must outlive one of them. Closed when it stops, as `revisions` is. Default: in memory. */
  store?: KeyValue;
  /** Where revisions are kept. Default: in `store`. */
  revisions?: RevisionStore;
  /** Other control planes use the store, too, and the registry: one of them leads, they ask each other, and they have one authority, which the operator's token opens. Default false. */
  shared?: boolean;
  /** How often control planes of one store look for each other, ms; who is silent for three and a half times as long is gone, and a leader's lease lasts three times as long. From 200 on; default 2,000. */
  meetEveryMs?: number;
  /** Where other control planes reach this one, "host:port". Default: where it listens. */
  advertise?: string;
  /** Default "127.0.0.1". Whoever reaches the port can register and publish. From other machines over TLS alone. */
  host?: string;
  /** Plain text from other machines is taken, too, for all that carries no secret. Default false. */
  plain?: boolean;
  /** Default 0: a free one. */
  port?: number;
  /** Lease period of processes that ask for none, ms; they beat three times as often. Default 15,000. */
  defaultTtlMs?: number;
  /** Who may publish resources and roll them back over the line. Default "anyone" who reaches the port. */
  publishers?: Publishers;
  health?: HealthCheckOptions;
  limits?: Partial<ControlLimits>;
  /** Name of the system, which is the trust domain of its identities. Default "default". */
  system?: string;
  /** How identities are issued. Default: by roots of the control plane's own. */
  identity?: IdentityOptions;
  /** Gets a line for every resource that an Envoy or gRPC client refuses. Default: as `identity.onEvent`. */
  onRefusal?: (line: string) => void;
  /** Gets a line for what people should know of the ledger: an edited revision that is refused, a store that lost some. Default: nobody. */
  onLedger?: (line: string) => void;
  /** Serves Consul's API for services and health, too. Default: not. */
  consul?: ConsulApiListen;
  /** Resources to publish at the start, unless they are current already. */
  resources?: Omit<Publication, "validateOnly" | "expected">;
  /** By which it reads sealed settings, to check them before they are published. Default: none, and those who use them check them. */
  settingsKeys?: SettingsKeys | null;
  /** Shown by Admin.GetStatus. */
  version?: string;
  clock?: Clock;
}

export interface IdentityOptions extends Pick<AuthorityOptions, "leafLifetimeMs" | "rootLifetimeMs" | "given"> {
  /** The operator's secret, by which join tokens are made. Default: one that is kept in the data folder, or made for this run. */
  operatorToken?: string;
  /** Told of refused requests and of what happens to roots. Default: nobody. */
  onEvent?: (message: string) => void;
}

/** A running control plane. */
export interface ControlPlane {
  readonly host: string;
  readonly port: number;
  /** "127.0.0.1:7070", for WEFT_CONTROL. */
  readonly address: string;
  /** Where Consul's API is served; null without it. */
  readonly consul: { readonly host: string; readonly port: number } | null;
  /** By what tools know it over TLS: WEFT_CONTROL_PIN. */
  readonly pin: string;
  readonly revision: number;
  /** What it tells of itself: docs/control-metrics.md. */
  readonly metrics: Metrics;
  /** Why processes had better go to another one; null: they need not. */
  readonly notReady: string | null;
  publish(publication: Publication): Promise<Published>;
  /** Ends the lines (processes keep what they know and come back), then closes ledger and registry. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the control plane: leases (in the registry), health checks, ledger, contracts, and the lines of all processes.
 *
 *     registry --deltas--> catalog --encoded once--> sessions --> processes
 *        ^                                              |
 *        |--- health checker                            '--- registrations, heartbeats
 *
 * Rejects `failed_precondition` when the port or the data folder is in use, `invalid_argument` for options or resources that are wrong.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { registry, clock = systemClock, health = {}, defaultTtlMs = 15_000 } = options;
  assertHealthCheckOptions(health);
  const { dataDir = "", system = "default", identity = {} } = options;
  assertServiceName(system, "system");
  const limits = Object.freeze({ ...defaultControlLimits, ...options.limits });
  const { store: given = new MemoryKeyValue() } = options;
  const store = new ObservedStore(given, clock);
  const { revisions = new KeyValueRevisions(store, { clock }) } = options;
  const closing: (() => unknown)[] = [() => registry.close(), () => store.close(), () => revisions.close()];
  const closeAll = async () => {
    for (const close of closing.splice(0).reverse()) await close();
  };
  try {
    const { operatorToken: givenToken = "", onEvent = ignore, ...lifetimes } = identity;
    const epoch = randomBytes(8).toString("hex");
    const operatorToken = await new AuthorityFile(dataDir).operatorToken(givenToken);
    const several =
      options.shared === true
        ? await joinOthers({
            store,
            clock,
            id: epoch,
            system,
            operatorToken: dataDir === "" ? givenToken : operatorToken,
            onEvent,
            ...(options.meetEveryMs !== undefined && { meetEveryMs: options.meetEveryMs }),
          })
        : null;
    closing.push(() => several?.close());
    const authority = await Authority.open({
      ...lifetimes,
      ...several?.authority,
      system,
      folder: dataDir,
      clock,
      onEvent,
    });
    closing.push(() => authority.close());
    const tokens = new JoinTokens(system, operatorToken, store, clock, () => authority.pins);
    const contracts = await ContractStore.open(store);
    closing.push(() => contracts.close());
    const sessions: Hub["sessions"] = new Set();
    const resourceChecker = new ResourceChecker();
    let xds: MeshXds | null = null;
    const planesPresent = () => presentPlanes(sessions, xds?.status.planes() ?? [], several?.enforcing);
    const check: ResourceCheck = (text, source) =>
      resourceChecker.check(text, source, contracts.all(), planesPresent());
    const settings = new SettingsCentre(() => ledger.current.settings, contracts, options.settingsKeys ?? null);
    const ledger = await Ledger.open({
      revisions,
      check,
      checkSettings: settings.check.state,
      clock,
      onEvent: options.onLedger,
    });
    closing.push(() => ledger.close());
    if (options.resources !== undefined) await ledger.publish(options.resources);
    const catalog = new Catalog(registry, (name, id) => contracts.remove(name, id));
    await catalog.start();
    closing.push(() => catalog.close());
    for (const { service: name, methods } of contracts.all()) {
      // A service without any endpoint at a start has left the system; if not, it brings its contract again.
      if (catalog.get(name) === undefined) await contracts.forget(name);
      else catalog.setMethods(name, methods);
    }
    const leads = () => several?.leader.leading ?? true;
    const { onLedger = ignore } = options;
    const keep = given instanceof MemoryKeyValue ? KEPT_REVISIONS.memory : KEPT_REVISIONS.store;
    closing.push(retainRevisions(ledger, { keep, leads, clock, onEvent: onLedger }));
    const checker = new HealthChecker({ registry, clock, identity: authority.identity("control"), leads, ...health });
    if (several === null) checker.start();
    else several.check(checker);
    closing.push(() => checker.close());
    const hub = new Hub({
      sessions,
      registry,
      catalog,
      contracts,
      ledger,
      settings,
      checker,
      authority,
      tokens,
      publishers: options.publishers ?? "anyone",
      clock,
      limits,
      epoch,
      defaultTtlMs,
    });
    closing.push(() => hub.close());
    const meshXds = createMeshXds({
      ledger,
      catalog,
      contracts,
      authority,
      tokens,
      clock,
      log: options.onRefusal ?? onEvent,
    });
    xds = meshXds;
    const { traffic } = hub;
    const { status, source } = meshXds;
    const identified = (name: string): boolean =>
      [...(catalog.get(name)?.endpoints.values() ?? [])].every(({ identity = "" }) => identity !== "");
    const xdsPlanes = new XdsPlanes({ status, probeToken: source.probeToken, traffic, identified, clock });
    hub.planeSources.add(xdsPlanes.source);
    hub.otherLines.add(() => status.end());
    closing.push(() => xdsPlanes.close());
    const sidecars = new SidecarEndpoints({
      status,
      registry,
      catalog,
      system,
      mutualTls: (name) => hub.mutualTls(name),
      clock,
      log: onEvent,
    });
    closing.push(() => sidecars.close());
    const issuing = createIdentityService({ authority, tokens, onRefused: onEvent });
    const fleet = new Fleet(clock);
    const around =
      several === null ? [] : [several.interceptor(hub, fleet, () => enforcingOf(sessions, meshXds.status.planes()))];
    const admins = new AdminTokens(store, clock, operatorToken);
    const audit = new AuditLog({ store, clock, onEvent });
    closing.push(() => audit.close());
    const isOperator = (token: string) => tokens.isOperator(token);
    const access = accessControl({ system, publishers: hub.publishers, tokens: admins, isOperator, audit });
    const limiting = requestLimits(limits, system, clock);
    const services = [
      issuing,
      createEndpointsService(hub),
      createFleetService(fleet),
      createPeersService(hub, async () => (await several?.reaches()) ?? true),
      createAccessService(admins, audit),
      ...meshXds.services,
    ];
    const server = await listen(hub, services, [limiting, access, ...around], options, onEvent);
    const metrics = createMetrics();
    const planes = () => several?.count ?? 1;
    controlMetrics(metrics, { hub, audit, storeAwayMs: () => store.awayMs, leads, planes });
    // Whoever listens everywhere is found by the machine's name.
    const everywhere = server.host === "0.0.0.0" || server.host === "::";
    await several?.served(options.advertise ?? (everywhere ? hostPort(hostname(), server.port) : server.address));
    closing.push(async () => {
      for (const session of hub.sessions) session.end(null);
      meshXds.close();
      await server.stop(DRAIN_MS);
    });
    let consul: ConsulApi | null = null;
    if (options.consul !== undefined) {
      const { startControlConsul } = await import("./consul-api/start.ts");
      const { plain = false, version = "" } = options;
      const api = await startControlConsul(hub, { listen: options.consul, plain, version, admins, audit, onEvent });
      consul = api;
      closing.push(() => api.close());
    }
    let stopping: Promise<void> | null = null;
    return {
      consul: consul && { host: consul.host, port: consul.port },
      host: server.host,
      port: server.port,
      address: server.address,
      get pin() {
        return formatControlPin({ system, pins: authority.pins });
      },
      get revision() {
        return ledger.current.revision;
      },
      metrics,
      get notReady() {
        return hub.cutOff ? "cut off from the registry or the store, which another control plane reaches" : null;
      },
      publish: (publication) => ledger.publish(publication),
      stop: () => (stopping ??= closeAll()),
    };
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}

/** TLS and plain text on one port. Who shows a certificate of the system's is known by it; who has none yet joins over TLS all the same. */
function listen(
  hub: Hub,
  more: readonly AnyServiceDefinition[],
  around: readonly ServerInterceptor[],
  options: ControlPlaneOptions,
  onEvent: (line: string) => void,
): Promise<Server> {
  const { version = "", plain = false } = options;
  const { authority, clock } = hub;
  const control = service(
    Control,
    { attach: (requests, call) => new Session(hub, call.peer).run(requests, call.signal) },
    { maxRequestBytes: hub.limits.maxRequestBytes },
  );
  return serve([control, createAdminService(hub, version), ...more], {
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    mesh: { identity: authority.identity("control"), mode: () => "permissive", anonymous: true },
    onOverLimit: (limit) => hub.refused.countConnection(limit),
    limits: {
      silenceTimeoutMs: hub.limits.silenceTimeoutMs,
      maxConnectionsPerAddress: hub.limits.maxConnectionsPerAddress,
    },
    interceptors: [countRefusals(hub.refused), refusePlainText(plain, onEvent), refuseForeignPages(), ...around],
    // A runtime of its own: the control plane is nobody's process.
    runtime: createRuntime({ env: {}, clock }),
    quiet: true,
  });
}

function ignore(): void {}

/** For what is being answered when it stops; the lines have been ended before. */
const DRAIN_MS = 1_000;
