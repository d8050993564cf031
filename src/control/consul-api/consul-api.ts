import { hostPort } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { listen } from "../../net/listener.ts";
import type { Registry } from "../../registry/registry.ts";
import { ConsulAgent } from "./consul-agent.ts";
import { ConsulView } from "./consul-view.ts";
import { createConsulHandler } from "./exchange.ts";
import { Queries } from "./queries.ts";
import { readRoutes } from "./read-routes.ts";
import { type ConsulAnswer, type Handler, Router, type Routes } from "./router.ts";
import { Shapes } from "./shapes.ts";
import { writeRoutes } from "./write-routes.ts";

export interface ConsulApiOptions extends ConsulApiListen {
  registry: Registry;
  clock: Clock;
  /** Name of the system: the node is called weft-SYSTEM. */
  system: string;
  /** Of this program. */
  version: string;
  /** What health checks do with an endpoint, and what they said last. */
  describe: (id: string) => { readonly check: string; readonly message: string };
  /** Rejects unless who shows the token ("" for none) may change anything. */
  assertMayWrite: (token: string) => Promise<void>;
  /** Writes down what is changed, or refused. Default: nobody does. */
  audited?: (change: AuditedChange, act: () => Promise<ConsulAnswer>) => Promise<ConsulAnswer>;
  /** Throws unless who shows the token may register, or take away, this endpoint. */
  assertMayRegister: (endpoint: Endpoint, token: string) => void;
  /** Throws for a request that must not be answered in plain text: `secret` says that it shows a token. */
  assertPlain: (peerAddress: string, secret: boolean) => void;
  onError: (message: string) => void;
}

export interface ConsulApiListen {
  /** Default "127.0.0.1". */
  host?: string;
  /** Default 8500, as Consul's; 0 picks a free one. */
  port?: number;
  /** Default "dc1", as Consul's. */
  datacenter?: string;
  /** Queries that wait for a change at once; more are refused. Default 10,000. */
  maxWaiting?: number;
  /** Services registered by this API at once. Default 10,000. */
  maxRegistrations?: number;
}

export interface AuditedChange {
  readonly token: string;
  /** Of who asks, with its port. */
  readonly address: string;
  /** "Consul/agent/service/register" */
  readonly action: string;
  readonly about: string;
}

export interface ConsulApi {
  readonly host: string;
  readonly port: number;
  /** Whoever waits is answered; registrations stay. */
  close(): Promise<void>;
}

/**
 * Serves what Consul's clients use of its HTTP API for services and health, over a registry:
 *
 *     request --exchange--> router --> queries --> view (the registry by service, with indexes) --> shapes (JSON)
 *                                 '--> agent (registrations, TTL checks) --> registry
 *
 * Rejects `failed_precondition` when it cannot listen.
 */
export async function startConsulApi(options: ConsulApiOptions): Promise<ConsulApi> {
  const { registry, clock, describe, host = "127.0.0.1", port = 8500, datacenter = "dc1" } = options;
  const view = new ConsulView({
    registry,
    clock,
    ...(options.maxWaiting !== undefined && { maxWaiting: options.maxWaiting }),
  });
  const agent = new ConsulAgent({
    registry,
    view,
    clock,
    checkMessage: (id) => describe(id).message,
    onError: options.onError,
    ...(options.maxRegistrations !== undefined && { maxRegistrations: options.maxRegistrations }),
  });
  const own = { name: `weft-${options.system}`, address: host, datacenter };
  const shapes = new Shapes(own, view, agent, describe);
  const queries = new Queries(registry, view, datacenter);
  let address = hostPort(host, port);
  const router = new Router({
    ...readRoutes({ own, version: options.version, address: () => address, view, shapes, queries }),
    ...audited(
      writeRoutes({
        own,
        view,
        agent,
        shapes,
        queries,
        assertMayWrite: options.assertMayWrite,
        assertMayRegister: options.assertMayRegister,
      }),
      options.audited,
    ),
  });
  await view.start();
  try {
    const handler = createConsulHandler(router, options.assertPlain, options.onError);
    const listener = await listen({ host, port, handler, limits: { idleTimeoutMs: IDLE_MS } });
    address = hostPort(listener.host, listener.port);
    return {
      host: listener.host,
      port: listener.port,
      async close() {
        view.close();
        agent.close();
        await listener.drain(DRAIN_MS);
      },
    };
  } catch (thrown) {
    view.close();
    agent.close();
    throw thrown;
  }
}

/** What a check says, again and again, is no change of anybody's. */
function audited(routes: Routes, around: ConsulApiOptions["audited"]): Routes {
  if (around === undefined) return routes;
  const wrapped = Object.entries(routes).map(([route, handler]): [string, Handler] => {
    if (/\/check\/(?:pass|warn|fail|update)\//.test(route)) return [route, handler];
    const action = route.replace(/^PUT \/v1\//, "Consul/").replace(/\/:\w+$/, "");
    return [
      route,
      (request) =>
        around(
          { token: request.token, address: request.peerAddress, action, about: request.params.join(" ") },
          async () => handler(request),
        ),
    ];
  });
  return Object.fromEntries(wrapped);
}

/** Longer than a query may wait. */
const IDLE_MS = 660_000;
const DRAIN_MS = 500;
