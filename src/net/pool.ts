import { systemClock } from "../core/clock.ts";
import type { ConnectionBounds } from "../core/connection-bounds.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { HeadCache } from "../wire/http1/head-cache.ts";
import type { ResponseMessage } from "../wire/http1/response-message.ts";
import { resolveLimits } from "../wire/limits.ts";
import type { ClientConnection } from "../wire/stream.ts";
import { EndpointConnections, type PoolShared } from "./endpoint-connections.ts";
import { loopOf } from "./loop.ts";
import type { ConnectionWaiter, UpstreamPool, UpstreamPoolOptions } from "./types.ts";

/** Connections to upstreams, kept by endpoint. Defaults are those of UpstreamPoolOptions. */
export function createUpstreamPool(options: UpstreamPoolOptions = {}): UpstreamPool {
  return new KeptPool(options);
}

class KeptPool implements UpstreamPool {
  readonly #shared: PoolShared;
  readonly #byKey = new Map<string, EndpointConnections>();
  /** Endpoint objects are replaced when their health or weight changes; the connections stay. */
  readonly #byEndpoint = new WeakMap<Endpoint, EndpointConnections>();
  /** Removed, not yet empty. */
  readonly #leaving = new Set<EndpointConnections>();
  #closed = false;

  constructor(options: UpstreamPoolOptions) {
    this.#shared = {
      options,
      loop: loopOf(options.clock ?? systemClock),
      limits: resolveLimits({ idleTimeoutMs: IDLE_TIMEOUT_MS, ...options.limits }),
      heads: new HeadCache<ResponseMessage>(),
      connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
      maxHttp1: options.maxConnectionsHttp1 ?? 256,
      maxHttp2: options.maxConnectionsHttp2 ?? 8,
      maxWaiting: options.maxWaiting ?? 1_024,
    };
  }

  acquire(endpoint: Endpoint, waiter: ConnectionWaiter, bounds?: ConnectionBounds | null): ClientConnection | null {
    if (this.#closed) {
      setImmediate(() =>
        waiter.onConnectFailed({ kind: "refused", code: 0, unprocessed: true, message: "the upstream pool is closed" }),
      );
      return null;
    }
    const known = this.#byEndpoint.get(endpoint);
    return (known === undefined || known.removed ? this.#connectionsOf(endpoint) : known).acquire(waiter, bounds);
  }

  cancel(endpoint: Endpoint, waiter: ConnectionWaiter): void {
    this.#byEndpoint.get(endpoint)?.cancel(waiter);
  }

  remove(endpoint: Endpoint): void {
    const connections = this.#byKey.get(keyOf(endpoint));
    if (connections === undefined) return;
    this.#byKey.delete(keyOf(endpoint));
    this.#byEndpoint.delete(endpoint);
    this.#leaving.add(connections);
    void connections.remove().then(() => this.#leaving.delete(connections));
  }

  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    const all = [...this.#byKey.values(), ...this.#leaving];
    this.#byKey.clear();
    const gone = Promise.all(all.map((connections) => connections.remove()));
    if (drainMs > 0) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([gone, new Promise((resolve) => (timer = setTimeout(resolve, drainMs)))]);
      clearTimeout(timer);
    }
    for (const connections of all) connections.cut();
    await gone;
  }

  #connectionsOf(endpoint: Endpoint): EndpointConnections {
    const key = keyOf(endpoint);
    let connections = this.#byKey.get(key);
    if (connections === undefined)
      this.#byKey.set(key, (connections = new EndpointConnections(endpoint, this.#shared)));
    this.#byEndpoint.set(endpoint, connections);
    return connections;
  }
}

/** Below what servers commonly allow (Node's own default is 5 s, but it says so in a keep-alive field, which the machine heeds). */
const IDLE_TIMEOUT_MS = 55_000;

function keyOf(endpoint: Endpoint): string {
  const { id, protocol, host, port, identity = "" } = endpoint;
  return `${id} ${protocol} ${host} ${port} ${identity}`;
}
