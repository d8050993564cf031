import { type Clock, systemClock } from "../../core/clock.ts";
import { createRuntime } from "../../service/runtime.ts";
import { type ServeOptions, type Server, serve } from "../../service/serve.ts";
import { createXdsServices, defaultXdsLimits } from "./services.ts";
import { StaticSource } from "./static-source.ts";
import { type XdsPlane, XdsStatus } from "./status.ts";
import type { XdsResource } from "./types.ts";

export interface ServeXdsOptions {
  /** Default 0: a free one. */
  port?: number;
  /** Default "127.0.0.1". Whoever reaches the port gets the resources, secrets included. */
  host?: string;
  /** What every data plane gets, as far as it asks for it. */
  resources: readonly XdsResource[];
  /** For connections by TLS. */
  tls?: ServeOptions["tls"];
  /** What a data plane can ask for: docs/xds.md. */
  limits?: Partial<typeof defaultXdsLimits>;
  /** Gets a line for every resource that a data plane refuses. Default: standard error. */
  log?: (line: string) => void;
  clock?: Clock;
}

/** A running xDS server. */
export interface XdsServer {
  readonly host: string;
  readonly port: number;
  /** "127.0.0.1:18000" */
  readonly address: string;
  /** 1, and one more with each update. */
  readonly revision: number;
  /** Replaces the resources; data planes are told what changed. Throws `invalid_argument` and changes nothing when two have the same name. */
  update(resources: readonly XdsResource[]): void;
  /** Who is attached, what each has accepted and what it refuses. */
  planes(): XdsPlane[];
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Serves resources by xDS v3: aggregated (ADS) or a stream a type, state of the world or delta, with load reports (LRS) and client status (CSDS).
 *
 * Rejects `failed_precondition` (PORT_IN_USE) and `invalid_argument` (SAME_NAME).
 */
export async function serveXds(options: ServeXdsOptions): Promise<XdsServer> {
  const { clock = systemClock, log = (line: string) => process.stderr.write(`${line}\n`) } = options;
  const source = new StaticSource(options.resources);
  const status = new XdsStatus(log);
  const services = createXdsServices({
    source,
    status,
    clock,
    limits: { ...defaultXdsLimits, ...options.limits },
    authenticate: () => null,
    identifier: "weft",
  });
  const server: Server = await serve(services, {
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    ...(options.tls !== undefined && { tls: options.tls }),
    runtime: createRuntime({ env: {}, clock }),
    quiet: true,
  });
  const stop = () => {
    status.end();
    return server.stop(STOP_MS);
  };
  return {
    host: server.host,
    port: server.port,
    address: server.address,
    get revision() {
      return source.revision;
    },
    update: (resources) => source.update(resources),
    planes: () => status.planes(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** For what is being answered when it stops; streams have been ended before. */
const STOP_MS = 1_000;
