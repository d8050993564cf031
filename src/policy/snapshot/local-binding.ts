import type { Endpoint } from "../../core/endpoint.ts";
import type { EndpointTable } from "../balance/endpoint-table.ts";
import { ServiceCounters } from "../resilience/policy-stats.ts";
import { Level } from "../resource/level.ts";
import { resolvePolicy } from "./effective-policy.ts";
import type { Binding } from "./snapshot.ts";
import type { StateKeeper } from "./state-keeper.ts";

/** Where the application beside a sidecar listens, and what it speaks. */
export type LocalApplication = Pick<Endpoint, "host" | "port" | "protocol">;

/** The application as an endpoint: of a name that no service can have, so that no route leads to it. */
export function localEndpoint({ host, port, protocol }: LocalApplication): Endpoint {
  const fixed = { version: "", zone: "", weight: 1, health: "healthy", metadata: {} } as const;
  return { id: LOCAL, service: LOCAL, host, port, protocol, ...fixed };
}

/**
 * How a sidecar's calls at place "server" go on to the application: once, whatever comes of it. Whoever called retries, limits and breaks, by policy; here the
 * caller's deadline alone holds.
 */
export function localBinding(table: EndpointTable, keeper: StateKeeper): Binding {
  const spec = {
    timeout: "0s",
    perTryTimeout: "0s",
    retry: { attempts: 0 },
    breaker: { enabled: false },
  } as const;
  const policy = resolvePolicy([{ level: Level.rule, source: "sidecar", spec }]);
  return {
    name: LOCAL,
    weight: 1,
    changes: null,
    group: table.group(LOCAL, ""),
    policy,
    breaker: null,
    budget: keeper.budget(LOCAL, policy.retry.budget),
    counters: new ServiceCounters(),
    extras: false,
    hedgeBudget: null,
    latency: null,
    outliers: null,
    standby: null,
  };
}

/** As records name it. */
const LOCAL = "(application)";
