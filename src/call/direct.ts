import type { DescService } from "@bufbuild/protobuf";
import { parseHostPort } from "../core/address.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import type { Endpoint, Protocol } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";
import { systemRandom } from "../core/random.ts";
import { createUpstreamPool } from "../net/pool.ts";
import type { UpstreamPoolOptions } from "../net/types.ts";
import { type TrafficPolicy, WEFT_API } from "../policy/resource/resources.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { createCarrier } from "./carrier.ts";
import { createClient } from "./client.ts";
import type { Client, ClientOptions } from "./client-types.ts";
import type { Carrier } from "./types.ts";

/**
 * A carrier that sends every call to one address: no registry, no retries, no breaker, no timeout but the caller's. And what to close when it
 * is done with.
 */
export interface DirectCarrier {
  readonly carrier: Carrier;
  /** The service name that its calls have to name (`service` of ClientOptions). */
  readonly service: string;
  /** "127.0.0.1:9000" */
  readonly authority: string;
  /** Ends its connections: calls in flight get `drainMs` (default 0) to end. */
  close(drainMs?: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface DirectOptions {
  /** What the address speaks. Default "h2c"; "h2" is over TLS. */
  protocol?: Protocol;
  /** The SPIFFE id that it proves, for a pool with an identity. */
  identity?: string;
  pool?: UpstreamPoolOptions;
  clock?: Clock;
}

/** `address`: "host:port" or "[v6]:port". Throws `invalid_argument` for others. Connects with the first call. */
export function createDirectCarrier(address: string, options: DirectOptions = {}): DirectCarrier {
  const { host, port } = parseAddress(address);
  const clock = options.clock ?? systemClock;
  const endpoint: Endpoint = {
    id: address,
    service: address,
    host,
    port,
    version: "",
    zone: "",
    weight: 1,
    protocol: options.protocol ?? "h2c",
    health: "healthy",
    metadata: {},
    ...(options.identity !== undefined && { identity: options.identity }),
  };
  const policy = createPolicyRuntime({ random: systemRandom });
  policy.applyResources(0, [PLAIN], []);
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed: [endpoint], removed: [] });
  const pool = createUpstreamPool({ clock, ...options.pool });
  const close = (drainMs = 0): Promise<void> => pool.close(drainMs);
  return {
    carrier: createCarrier({ policy, pool, clock }),
    service: address,
    authority: address,
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** A typed client of one address: for tools, the line to the control plane, and tests. */
export interface DirectClient<S extends DescService> extends DirectCarrier {
  readonly client: Client<S>;
}

/** createDirectCarrier and a client over it. */
export function createDirectClient<S extends DescService>(
  desc: S,
  address: string,
  options: DirectOptions & Omit<ClientOptions, "carrier" | "service" | "authority" | "clock"> = {},
): DirectClient<S> {
  const direct = createDirectCarrier(address, options);
  const { carrier, service, authority } = direct;
  const client = createClient(desc, { ...options, carrier, service, authority });
  return { ...direct, client };
}

/** One address and nothing else: a call ends when it ends, when its caller's deadline passes, or when it fails, at once. */
const PLAIN: TrafficPolicy = {
  apiVersion: WEFT_API,
  kind: "TrafficPolicy",
  metadata: { name: "direct" },
  spec: { timeout: "0s", perTryTimeout: "0s", retry: { attempts: 0 }, breaker: { enabled: false } },
};

function parseAddress(address: string): { host: string; port: number } {
  const parsed = parseHostPort(address);
  if (parsed === null || parsed.port === 0) {
    throw new WeftError("invalid_argument", `"${address}" is no address; write host:port or [ipv6]:port`, {
      reason: "BAD_ADDRESS",
    });
  }
  return parsed;
}
