import type { DescService } from "@bufbuild/protobuf";
import { descriptorSetOf } from "../contract/contract-set.ts";
import { hostPort } from "../core/address.ts";
import { withTags } from "../core/endpoint-tags.ts";
import { WeftError } from "../core/errors.ts";
import type { IdentitySource, MutualTls } from "../core/identity.ts";
import type { Link, Registered, Registration } from "../link/types.ts";
import { listen } from "../net/listener.ts";
import type { ConnectionLimits, Listener, ListenOptions, TlsServerOptions } from "../net/types.ts";
import { BufferBudget } from "./buffer-budget.ts";
import { closedWhenStrict } from "./closed-when-strict.ts";
import type { AnyServiceDefinition } from "./definition.ts";
import { createDispatcher } from "./dispatch.ts";
import { InFlight } from "./environment.ts";
import { createHealthService } from "./health.ts";
import type { ServerInterceptor } from "./interceptor.ts";
import { LoadMeter } from "./load-meter.ts";
import { LoadReporter } from "./load-reporter.ts";
import { createReflectionServices } from "./reflection.ts";
import { processRuntime, type Runtime } from "./runtime.ts";
import { ServedCalls } from "./served-calls.ts";
import type { ServerCallState } from "./server-call.ts";
import { type ServerState, ServerStatus } from "./server-status.ts";
import { stopOnSignals } from "./signals.ts";

export interface ServeOptions {
  /** Default: the environment's PORT; else a free one. 0 is a free one. */
  port?: number;
  /** Address to listen on. Default: the environment's HOST; else 127.0.0.1. */
  host?: string;
  /** Name in the registry. Default: WEFT_SERVICE; else the contract's service name in lower case ("counter" of counter.v1.Counter). */
  name?: string;
  /** Default: WEFT_VERSION; else none. */
  version?: string;
  /** Share of the calls relative to other endpoints. Default 1. */
  weight?: number;
  /** Told to whoever looks the endpoint up. */
  metadata?: Readonly<Record<string, string>>;
  /** How full the service is by its own measure, 0 to 1 (above 1: more than full), for callers that balance by load. Asked for at most every 100 ms. */
  utilization?: () => number;
  /** Around every call of every definition; the first outermost. */
  interceptors?: readonly ServerInterceptor[];
  /** Serve gRPC reflection. Default true. */
  reflection?: boolean;
  tls?: TlsServerOptions;
  /** How connections of a mesh are taken, by an identity that is not the runtime's: for who issues identities. Excludes `tls`. */
  mesh?: ListenOptions["mesh"];
  /** Limits on what a peer can make the server hold; see docs/limits.md. */
  limits?: Partial<ConnectionLimits>;
  /** Told of each connection that is closed as it comes, since there are as many as `limits` allow. */
  onOverLimit?: ListenOptions["onOverLimit"];
  /** What incomplete requests and unread messages may hold in memory together, bytes. Default 256 MiB. Over it: `resource_exhausted`. */
  maxBufferedBytes?: number;
  /** How long calls in flight may take when the server stops, ms. Default: WEFT_DRAIN_MS; else 10,000. */
  drainMs?: number;
  /** Runs when the calls have ended, before the process does: close databases here. */
  onStop?: () => void | Promise<void>;
  /** Told about exceptions of handlers, which callers see only as `internal`. Default: a line and the stack on stderr. */
  onError?: (error: WeftError, call: { readonly method: { toString(): string }; readonly requestId: string }) => void;
  /** Default: the runtime of the process; only then SIGTERM and SIGINT stop the server and end the process. */
  runtime?: Runtime;
  /** Print no line with the address. Default false. */
  quiet?: boolean;
}

/** A running server. */
export interface Server {
  readonly host: string;
  readonly port: number;
  /** "127.0.0.1:50051" */
  readonly address: string;
  readonly state: ServerState;
  /** Calls being served now. */
  readonly inFlight: number;
  /** The service's own word on whether it wants calls: false fails readiness and takes it out of rotation until true. */
  setReady(ready: boolean, reason?: string): Promise<void>;
  /**
   * Drains and stops: health says NOT_SERVING, the registry's entry goes, no new calls are taken, those in flight get `drainMs`. Resolves when nothing
   * is left; the second call gets the same promise.
   */
  stop(drainMs?: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Serves definitions on one port: gRPC (h2c, or h2 with `tls`), REST, gRPC health and reflection, /healthz and /readyz. With a control plane it
 * registers itself and resolves when that is acknowledged,
 * however long that takes.
 *
 * Rejects `failed_precondition` (PORT_IN_USE), `invalid_argument` for definitions that collide and for a registration that is refused.
 */
export async function serve(
  definitions: AnyServiceDefinition | readonly AnyServiceDefinition[],
  options: ServeOptions = {},
): Promise<Server> {
  const list = "desc" in definitions ? [definitions] : [...definitions];
  if (list.length === 0) {
    throw new WeftError("invalid_argument", "serve needs at least one service definition", { reason: "NO_SERVICE" });
  }
  const runtime = options.runtime ?? processRuntime();
  const server = new ServerProcess(list, options, runtime);
  if (options.runtime === undefined) stopOnSignals(server, runtime);
  await server.start();
  return server;
}

class ServerProcess implements Server {
  readonly #definitions: readonly AnyServiceDefinition[];
  readonly #options: ServeOptions;
  readonly #runtime: Runtime;
  readonly #status = new ServerStatus();
  readonly #inFlight = new InFlight();
  readonly #served: ServedCalls;
  #listener: Listener | null = null;
  #registered: Registered | null = null;
  #meter: LoadMeter | null = null;
  #identity: IdentitySource | null = null;
  #stopping: Promise<void> | null = null;

  constructor(definitions: readonly AnyServiceDefinition[], options: ServeOptions, runtime: Runtime) {
    this.#definitions = definitions;
    this.#options = options;
    this.#runtime = runtime;
    this.#served = new ServedCalls(runtime.clock);
  }

  get host(): string {
    return this.#listener?.host ?? "";
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  get address(): string {
    return hostPort(this.host, this.port);
  }

  get state(): ServerState {
    return this.#status.state;
  }

  get inFlight(): number {
    return this.#inFlight.count;
  }

  async start(): Promise<void> {
    const {
      interceptors = [],
      limits,
      maxBufferedBytes = 256 * 1024 * 1024,
      onError = printError,
      reflection = true,
      tls,
    } = this.#options;
    const { clock, scope, settings, wheel } = this.#runtime;
    const services = this.#services();
    // Its sidecar decides about calls, and registers it.
    const behindSidecar = settings.sidecar !== "";
    const names = services.map(({ typeName }) => typeName);
    const health = createHealthService(this.#status, names);
    const handler = createDispatcher({
      definitions: [
        ...this.#definitions,
        health,
        ...(reflection ? createReflectionServices([...services, health.desc]) : []),
      ],
      environment: {
        clock,
        wheel,
        scope,
        inFlight: this.#inFlight,
        served: this.#served,
        load: new LoadReporter(this.#inFlight, this.#served, clock, this.#options.utilization ?? null),
        buffers: new BufferBudget(maxBufferedBytes),
        gates: behindSidecar ? null : { inbound: this.#runtime.inbound, service: this.#name(services) },
        behindSidecar,
        onError,
      },
      status: this.#status,
      interceptors,
    });
    const name = this.#name(services);
    const identity = tls === undefined ? await this.#runtime.identity() : null;
    // A process that serves under several names proves the one that it was given.
    if (identity?.id.endsWith(`/${name}`)) this.#identity = identity;
    const own = this.#identity && { identity: this.#identity, mode: modeOf(name, this.#runtime) };
    const mesh = this.#options.mesh ?? own;
    this.#listener = await listen({
      host: this.#options.host ?? settings.host,
      port: this.#options.port ?? settings.port ?? 0,
      handler,
      clock,
      ...(tls && { tls }),
      ...(mesh && {
        mesh,
        onConnectionError: (peer, message) =>
          console.error(`weft: ${name}: connection from ${peer.address}: ${message}`),
      }),
      // Its sidecar proves who it is.
      ...(!mesh &&
        !tls &&
        !behindSidecar && {
          closed: closedWhenStrict(name, this.#runtime.policy, (error) => console.error(`weft: ${error.message}`)),
        }),
      ...(limits && { limits }),
      ...(this.#options.onOverLimit && { onOverLimit: this.#options.onOverLimit }),
    });
    try {
      await this.#register(services);
    } catch (thrown) {
      if (this.#meter !== null) this.#runtime.meters.delete(this.#meter);
      await this.#listener.close();
      throw thrown;
    }
    this.#status.set("serving");
    this.#announce(names);
  }

  async setReady(ready: boolean, reason = ready ? "ready" : "not ready"): Promise<void> {
    this.#status.set(ready ? "serving" : "unready");
    if (this.#status.state !== "draining") await this.#registered?.setHealth(ready ? "healthy" : "unhealthy", reason);
  }

  stop(drainMs = this.#options.drainMs ?? this.#runtime.settings.drainMs): Promise<void> {
    this.#stopping ??= this.#stop(drainMs);
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(drainMs: number): Promise<void> {
    const started = this.#runtime.clock.now();
    this.#status.set("draining");
    const registered = this.#registered;
    if (registered !== null) {
      // Callers hear of it before the port refuses them. Without the control plane they find out from GOAWAY, and send again.
      await withTimeout(this.#runtime, LEAVE_MS, registered.setHealth("draining", "the server is stopping"));
      await pause(this.#runtime, SPREAD_MS);
    }
    const left = Math.max(0, drainMs - (this.#runtime.clock.now() - started));
    await this.#listener?.drain(left);
    if (registered !== null) await withTimeout(this.#runtime, LEAVE_MS, registered.release());
    if (this.#meter !== null) this.#runtime.meters.delete(this.#meter);
    await this.#options.onStop?.();
  }

  #services(): DescService[] {
    return this.#definitions.map(({ desc }) => desc as DescService);
  }

  /** As the registry and policies know it. */
  #name(services: readonly DescService[]): string {
    return (this.#options.name ?? this.#runtime.settings.service) || services[0].name.toLowerCase();
  }

  async #register(services: readonly DescService[]): Promise<void> {
    if (this.#runtime.settings.sidecar !== "") return;
    const link = this.#runtime.link();
    if (link === null) return;
    const { settings } = this.#runtime;
    const { metadata = {}, tls, version = settings.version, weight = 1 } = this.#options;
    const service = this.#name(services);
    // One process may serve on several ports; the first has the name that the supervisor gave.
    const host = settings.advertise || (ANY_ADDRESS.has(this.host) ? "127.0.0.1" : this.host);
    const own = this.#runtime.meters.size === 0 ? settings.instance : "";
    const id = own || `${service}@${host}:${this.port}`;
    this.#meter = new LoadMeter(id, this.#inFlight, this.#served, this.#runtime.clock);
    this.#runtime.meters.add(this.#meter);
    await this.#registerUntilAcknowledged(link, {
      endpoint: {
        id,
        service,
        host,
        port: this.port,
        version,
        zone: settings.zone,
        weight,
        protocol: tls === undefined ? "h2c" : "h2",
        metadata: withTags(metadata, settings.tags),
        ...(this.#identity && { identity: this.#identity.id }),
      },
      contracts: services.map(({ typeName }) => typeName),
      descriptors: descriptorSetOf(services),
    });
  }

  /** A control plane that is away is waited for: the port answers already, and whoever supervises the process decides how long is too long. */
  async #registerUntilAcknowledged(link: Link, registration: Registration): Promise<void> {
    while (this.#stopping === null) {
      try {
        const registered = await link.register(registration);
        if (this.#stopping === null) this.#registered = registered;
        else await registered.release();
        return;
      } catch (thrown) {
        if (!(thrown instanceof WeftError) || thrown.code !== "unavailable") throw thrown;
        console.error(`weft: ${registration.endpoint.id} is not registered yet: ${thrown.message}`);
      }
    }
  }

  /** Tells whoever started the process: a supervisor by its channel, a person by a line. */
  #announce(names: readonly string[]): void {
    if (this.#options.runtime !== undefined) return;
    // A supervisor that has just gone is none of the server's business here; `disconnect` tells.
    if (process.connected)
      process.send?.({ type: "weft.ready", host: this.host, port: this.port }, undefined, {}, () => {});
    if (this.#options.quiet === true || this.#runtime.settings.control !== "") return;
    const scheme = this.#options.tls === undefined ? "http" : "https";
    console.log(`${names.join(", ")} on ${scheme}://${this.address} (gRPC and REST)`);
  }
}

/** Before the system's policies have come nobody is let in whom they might keep out. */
function modeOf(name: string, runtime: Runtime): () => MutualTls {
  const { policy } = runtime;
  const link = runtime.link();
  let known = link === null;
  return () => {
    known ||= link?.connected === true || policy.revision > 0;
    return known ? policy.mutualTls(name) : "strict";
  };
}

function printError(error: WeftError, call: Parameters<NonNullable<ServeOptions["onError"]>>[1]): void {
  console.error(`${(call as ServerCallState).method} failed (request ${call.requestId}):`, error.cause ?? error);
}

/** Resolves with the work or after `ms`, whatever becomes of it: stopping must not depend on the control plane. */
async function withTimeout(runtime: Runtime, ms: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work.catch(() => {}), pause(runtime, ms)]);
}

function pause(runtime: Runtime, ms: number): Promise<void> {
  return new Promise((resolve) => void runtime.clock.after(ms, resolve));
}

const ANY_ADDRESS = new Set(["0.0.0.0", "::", ""]);
/** How long the control plane may take to acknowledge that an endpoint leaves. */
const LEAVE_MS = 2_000;
/** Deltas reach callers within this time; until then the port goes on taking calls. */
const SPREAD_MS = 200;
