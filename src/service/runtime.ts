import { hostname } from "node:os";
import type { DescService } from "@bufbuild/protobuf";
import { CallNames } from "../call/call-names.ts";
import { createCarrier } from "../call/carrier.ts";
import { createClient } from "../call/client.ts";
import type { ClientFallbacks } from "../call/client-fallback.ts";
import type { Client, ClientInterceptor, ClientOptions } from "../call/client-types.ts";
import { createDirectCarrier, type DirectCarrier } from "../call/direct.ts";
import { Inbound } from "../call/inbound.ts";
import { sampleLoad } from "../call/load-sampler.ts";
import { composeQueries, type QueryHandler } from "../call/queries/queries.ts";
import { createSecurityQueries, type SecurityQueries } from "../call/queries/security-queries.ts";
import { sharedLimitQuery } from "../call/queries/shared-limit-query.ts";
import { tellTime } from "../call/queries/tell-time.ts";
import type { Carrier } from "../call/types.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { IdentitySource } from "../core/identity.ts";
import { readJoinToken } from "../core/join-token.ts";
import { systemRandom } from "../core/random.ts";
import { TimerWheel } from "../core/timer-wheel.ts";
import { type ControlSecurity, controlSecurityOf } from "../link/control-security.ts";
import type { IdentityLine } from "../link/identity-line.ts";
import { identityProof } from "../link/line-proof.ts";
import { createLink } from "../link/link.ts";
import type { SettingsFollower } from "../link/settings-line.ts";
import type { Link } from "../link/types.ts";
import { createUpstreamPool } from "../net/pool.ts";
import type { UpstreamPool, UpstreamPoolOptions } from "../net/types.ts";
import { DecisionJournal } from "../policy/decision/journal.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import type { SettingsKeys } from "../settings/sealed.ts";
import { IdSource } from "../telemetry/trace.ts";
import { CallScope } from "./call-scope.ts";
import { deferClient, type Readiness } from "./deferred-client.ts";
import { type ProcessSettings, readProcessSettings } from "./environment-variables.ts";
import type { LoadMeter } from "./load-meter.ts";
import { ambientCall } from "./propagation.ts";

/** What `serve` and `connect` of one process (or test) share: its line to the control plane, policy, connections and timers. */
export interface Runtime {
  readonly settings: ProcessSettings;
  readonly clock: Clock;
  /** Deadlines of all calls, served and made. */
  readonly wheel: TimerWheel;
  /** The call being served, for the calls that follow from it. */
  readonly scope: CallScope;
  readonly policy: PolicyRuntime;
  /** Passes the calls of this process's servers through policy's gates. */
  readonly inbound: Inbound;
  /** The line to the control plane, opened on first use; null without one. */
  link(): Link | null;
  /** Where settings come from; null: from the line. Tests give their own (giveSettings of weftmesh/testing). */
  settingsSource: SettingsFollower | null;
  /** By which sealed settings are read; null without any. Rejects `invalid_argument` (BAD_SETTINGS_KEYS). */
  settingsKeys(): Promise<SettingsKeys | null>;
  /** Who this process is to others, once the control plane has said so; null where it has no join token, or a sidecar stands for it. */
  identity(): Promise<IdentitySource | null>;
  /** Endpoints of this process whose load the line reports. */
  readonly meters: Set<LoadMeter>;
  connect<S extends DescService>(desc: S, options?: ConnectOptions<S>): Client<S>;
  /** Closes the line and the connections: calls in flight get `drainMs` (default 0). Servers are stopped by themselves. */
  close(drainMs?: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface RuntimeOptions extends Partial<ProcessSettings> {
  /** Where the settings that are not given come from. Default: process.env. */
  env?: Readonly<Record<string, string | undefined>>;
  clock?: Clock;
  /** For endpoints that speak TLS: whom to trust (default: the system's authorities) and the client's own certificate. */
  tls?: UpstreamPoolOptions["tls"];
}

export interface ConnectOptions<S extends DescService = DescService> {
  /** Calls this address, "host:port", instead of asking the control plane. */
  address?: string;
  /** The address speaks TLS: whom to trust and the client's own certificate; `{}` for the runtime's, or the system's, authorities. */
  tls?: UpstreamPoolOptions["tls"];
  /** Default: the runtime of the process. */
  runtime?: Runtime;
  /** Who serves it, as the registry names it. Default: whoever serves the contract. */
  service?: string;
  /** Timeout of calls that set none, ms. Default: none beyond policy's. */
  timeoutMs?: number;
  /** Functions that answer when the service cannot, by unary method: `{ count: (request, error) => ({ count: 0n }) }`. */
  fallback?: ClientFallbacks<S>;
  /** Around every call, the first outermost. */
  interceptors?: readonly ClientInterceptor[];
  compression?: ClientOptions["compression"];
  maxMessageBytes?: number;
}

/** Makes a runtime of its own, for tests and for two systems in one process. Opens nothing until it is used. */
export function createRuntime(options: RuntimeOptions = {}): Runtime {
  const { env = process.env, clock = systemClock, tls, ...settings } = options;
  return new RuntimeState({ ...readProcessSettings(env), ...settings }, clock, tls);
}

let ofProcess: Runtime | null = null;

/** The runtime of the process, made from its environment on first use. */
export function processRuntime(): Runtime {
  return (ofProcess ??= createRuntime());
}

/**
 * A typed client of a service: found through the control plane, under its policy, or at one address. Calls made while a call is being served take over its
 * deadline, cancellation, trace, request id and lane.
 *
 * Never fails by itself: calls reject with `failed_precondition` (NO_CONTROL_PLANE) when there is neither a control plane nor an address.
 */
export function connect<S extends DescService>(desc: S, options: ConnectOptions<S> = {}): Client<S> {
  return (options.runtime ?? processRuntime()).connect(desc, options);
}

class RuntimeState implements Runtime {
  readonly settings: ProcessSettings;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly scope = new CallScope();
  readonly meters = new Set<LoadMeter>();
  readonly policy: PolicyRuntime;
  readonly inbound: Inbound;
  settingsSource: SettingsFollower | null = null;
  #settingsKeys: Promise<SettingsKeys | null> | null = null;
  readonly #stopSampling: () => void;
  readonly #security: SecurityQueries;
  readonly #names: CallNames;
  readonly #query: QueryHandler;
  readonly #stopTellingTime: () => void;
  #pool: UpstreamPool | null = null;
  #carrier: Carrier | null = null;
  #link: Link | null = null;
  #opening: Promise<IdentityLine | null> | null = null;
  #identity: IdentityLine | null = null;
  #control: ControlSecurity | null = null;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #direct = new Map<string, DirectCarrier>();
  /** Not shared: each may have a certificate of its own. */
  readonly #secure: DirectCarrier[] = [];
  readonly #tls: UpstreamPoolOptions["tls"];
  #closed = false;

  constructor(settings: ProcessSettings, clock: Clock, tls: UpstreamPoolOptions["tls"]) {
    this.#tls = tls;
    this.settings = settings;
    const { zone, service } = settings;
    this.policy = createPolicyRuntime({ random: systemRandom, journal: new DecisionJournal(), zone, service });
    this.clock = clock;
    this.wheel = new TimerWheel(clock);
    this.#names = new CallNames(new IdSource(systemRandom), clock);
    this.#security = createSecurityQueries({
      clock,
      onProblem: (message) => console.error(`weft: ${message}`),
    });
    this.#query = composeQueries({
      ...this.#security.handlers,
      "shared-limit": sharedLimitQuery(() => this.link()?.limits ?? null),
    });
    this.inbound = new Inbound({ policy: this.policy, clock, timers: this.wheel, query: this.#query });
    this.#stopTellingTime = tellTime(this.policy, clock);
    this.#stopSampling = sampleLoad(this.policy, clock);
  }

  identity(): Promise<IdentitySource | null> {
    this.#opening ??= this.#openIdentity();
    return this.#opening;
  }

  settingsKeys(): Promise<SettingsKeys | null> {
    const { settingsKeys: WEFT_SETTINGS_KEYS, settingsKeysFile: WEFT_SETTINGS_KEYS_FILE } = this.settings;
    this.#settingsKeys ??= import("../settings/sealed.ts").then(({ readSettingsKeys }) =>
      readSettingsKeys({ WEFT_SETTINGS_KEYS, WEFT_SETTINGS_KEYS_FILE }),
    );
    return this.#settingsKeys;
  }

  link(): Link | null {
    if (this.#link === null && this.settings.control !== "" && !this.#closed) {
      const { control: address, instance, service, version, zone, labels, tags, stateFile } = this.settings;
      this.#link = createLink({
        address,
        policy: this.policy,
        clock: this.clock,
        process: instance || service || "process",
        service,
        role: "service",
        whereabouts: {
          zone,
          // As it is called after its next start, too.
          instance: instance || `${service || "process"}@${hostname()}`,
          labels: version === "" ? labels : { ...labels, version },
          tags,
        },
        background: true,
        load: () => [...this.meters].map((meter) => meter.read()),
        ...(stateFile !== "" && { stateFile }),
        control: this.#lineSecurity(),
        onTrust: (pem) => this.#identity?.trust(pem),
        proof: identityProof(() => this.#identity),
        onError: (error) => console.error(`weft: line to the control plane at ${address}: ${error.message}`),
      });
    }
    return this.#link;
  }

  connect<S extends DescService>(desc: S, options: ConnectOptions<S> = {}): Client<S> {
    this.scope.track();
    const { address, service, timeoutMs, interceptors, compression, maxMessageBytes, fallback } = options;
    const shared = { timeoutMs, interceptors, compression, maxMessageBytes, fallback, clock: this.clock };
    const ambient = () => ambientCall(this.scope);
    if (address !== undefined) {
      const { carrier, authority, service: name } = this.#directTo(address, options.tls);
      return createClient(desc, { ...shared, carrier, authority, service: name, ambient });
    }
    const { sidecar } = this.settings;
    if (sidecar !== "") {
      // The sidecar finds, retries, splits and limits: nothing of it is done twice.
      const { carrier, service: at } = this.#directTo(sidecar, undefined);
      const authority = service === undefined ? desc.typeName : `${service}.weft`;
      return createClient(desc, { ...shared, carrier, authority, service: at, ambient, ids: this.#names });
    }
    const name = service ?? desc.typeName;
    const carrier = this.#policyCarrier();
    const client = createClient(desc, { ...shared, carrier, service: name, ambient, ids: this.#names });
    const subscription = this.#subscribe(name);
    // The first call should find everything there; if it cannot be had yet, that call tries again and tells.
    if (this.settings.control !== "") subscription.whenReady().catch(() => {});
    return deferClient(desc, client, subscription);
  }

  async close(drainMs = 0): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopSampling();
    this.#stopTellingTime();
    await Promise.all([
      this.#pool?.close(drainMs),
      ...[...this.#direct.values(), ...this.#secure].map((direct) => direct.close(drainMs)),
    ]);
    await this.#security.close();
    await this.#link?.close();
    await this.#identity?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #joins(): boolean {
    const { control, joinToken, sidecar } = this.settings;
    return joinToken !== "" && control !== "" && sidecar === "";
  }

  /** How the control plane is spoken with, on every line to it. A token that is none is told of where the process joins by it. */
  #lineSecurity(): ControlSecurity | null {
    if (!this.#joins || readJoinToken(this.settings.joinToken) === null) return null;
    this.#control ??= controlSecurityOf(this.settings.joinToken, this.settings.control, this.clock);
    return this.#control;
  }

  async #openIdentity(): Promise<IdentityLine | null> {
    const { control, joinToken } = this.settings;
    if (!this.#joins) return null;
    const { openIdentity } = await import("../link/identity-line.ts");
    const onProblem = (message: string): void => console.error(`weft: ${message}`);
    const identity = await openIdentity({
      address: control,
      token: joinToken,
      control: this.#lineSecurity(),
      clock: this.clock,
      isOver: () => this.#closed,
      onProblem,
    });
    this.#identity = identity;
    if (this.#closed) await identity.close();
    return identity;
  }

  #policyCarrier(): Carrier {
    if (this.#carrier === null) {
      const state = this;
      const pool = createUpstreamPool({
        clock: this.clock,
        ...(this.#tls && { tls: this.#tls }),
        // Dials ask for it: it comes after the pool.
        get identity() {
          return state.#identity ?? undefined;
        },
        mutualTls: (service) => this.policy.mutualTls(service),
      });
      this.#pool = pool;
      this.#carrier = createCarrier({
        policy: this.policy,
        pool,
        clock: this.clock,
        timers: this.wheel,
        query: this.#query,
      });
    }
    return this.#carrier;
  }

  #directTo(address: string, tls: UpstreamPoolOptions["tls"]): DirectCarrier {
    if (tls !== undefined) {
      const pool = { tls: { ...this.#tls, ...tls } };
      const secure = createDirectCarrier(address, { clock: this.clock, protocol: "h2", pool });
      this.#secure.push(secure);
      return secure;
    }
    let direct = this.#direct.get(address);
    if (direct === undefined) {
      direct = createDirectCarrier(address, { clock: this.clock });
      this.#direct.set(address, direct);
    }
    return direct;
  }

  #subscribe(service: string): Subscription {
    let subscription = this.#subscriptions.get(service);
    if (subscription === undefined) {
      subscription = new Subscription(service, this);
      this.#subscriptions.set(service, subscription);
    }
    return subscription;
  }
}

/** What a service's endpoints and policy need to be known before the first call. */
class Subscription implements Readiness {
  readonly #service: string;
  readonly #runtime: Runtime;
  #opening: Promise<void> | null = null;
  ready = false;

  constructor(service: string, runtime: Runtime) {
    this.#service = service;
    this.#runtime = runtime;
  }

  whenReady(): Promise<void> {
    this.#opening ??= this.#open().catch((thrown) => {
      this.#opening = null;
      throw thrown;
    });
    return this.#opening;
  }

  async #open(): Promise<void> {
    const link = this.#runtime.link();
    if (link === null) {
      throw new WeftError(
        "failed_precondition",
        `${this.#service} cannot be found: there is no control plane. Run the process under \`weft up\`, set WEFT_CONTROL to the control plane's host:port, ` +
          'or give connect an address: connect(desc, { address: "127.0.0.1:50051" })',
        { reason: "NO_CONTROL_PLANE" },
      );
    }
    // The line itself keeps no process alive, so that scripts end when their calls have; somebody waits for this one.
    const hold = setInterval(() => {}, 60_000);
    try {
      await this.#runtime.identity();
      await link.subscribe(this.#service);
    } finally {
      clearInterval(hold);
    }
    this.ready = true;
  }
}
