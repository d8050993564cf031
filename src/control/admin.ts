import { endpointToMessage } from "../contract/endpoint-message.ts";
import { Admin, type EndpointViewSchema, Role } from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";
import { type ServiceDefinition, service } from "../service/definition.ts";
import { createCallExplainer } from "./call-explainer.ts";
import type { Hub } from "./hub.ts";
import { ledgerAdmin, revisionMessage } from "./ledger-admin.ts";
import { topologyOf } from "./mesh/topology.ts";
import { answerPublishSettings, readSettings } from "./settings/settings-admin.ts";

/** What people and tools ask of the control plane; who may is looked at before (access/access-control.ts). `version` is this program's. */
export function createAdminService(hub: Hub, version: string): ServiceDefinition<typeof Admin> {
  const startedAt = hub.clock.now();
  const view = (endpoint: Endpoint): MessageInitShape<typeof EndpointViewSchema> => {
    const { check, message } = hub.checker.describe(endpoint.id);
    return {
      endpoint: endpointToMessage(endpoint),
      check,
      checkMessage: message,
      process: hub.owners.get(endpoint.id)?.hello?.process ?? "",
      load: hub.loads.get(endpoint.id),
    };
  };
  /** By name: what is known, or what is there now where only that will do. */
  const endpointsBy = async (asked: readonly string[], stale: boolean) => {
    const { registry, catalog } = hub;
    if (stale || registry.mode === "available") {
      const { staleMs } = await registry.query([]);
      return {
        staleMs,
        known: new Map(catalog.services().map((state) => [state.name, [...state.endpoints.values()]])),
      };
    }
    const { staleMs, endpoints } = await registry.query(asked.length === 0 ? ["*"] : asked);
    const known = Map.groupBy(endpoints, (endpoint) => endpoint.service);
    for (const { name, methods } of catalog.services()) if (methods !== null && !known.has(name)) known.set(name, []);
    return { staleMs, known };
  };
  const named = (names: readonly string[], known: ReadonlyMap<string, Endpoint[]>): string[] => {
    for (const name of names) {
      if (known.has(name)) continue;
      const others = new Set([...known.keys(), ...hub.catalog.services().map((state) => state.name)]);
      throw new WeftError(
        "not_found",
        `no service "${name}" is known; those that are: ${[...others].slice(0, 20).join(", ") || "none"}`,
        {
          reason: "UNKNOWN_SERVICE",
        },
      );
    }
    return [...known.keys()].filter((name) => names.length === 0 || names.includes(name)).sort();
  };

  return service(Admin, {
    getStatus: async () => ({
      epoch: hub.epoch,
      mode: hub.registry.mode,
      staleMs: BigInt(Math.floor((await hub.registry.query([])).staleMs)),
      version,
      endpointVersion: BigInt(hub.catalog.endpointVersion),
      revision: BigInt(hub.ledger.current.revision),
      services: hub.catalog.services().length,
      endpoints: hub.catalog.endpointCount,
      processes: hub.sessions.size,
      refusedRequests: BigInt(hub.refused.of("TOO_MANY_REQUESTS")),
      refusedAttaches: BigInt(hub.refused.of("TOO_MANY_ATTACHES")),
      uptimeMs: BigInt(Math.floor(hub.clock.now() - startedAt)),
      ...(hub.ledger.refused !== null && {
        refused: { ...hub.ledger.refused, revision: BigInt(hub.ledger.refused.revision) },
      }),
    }),

    listServices: async ({ services, stale }) => {
      const { staleMs, known } = await endpointsBy(services, stale);
      return {
        endpointVersion: BigInt(hub.catalog.endpointVersion),
        staleMs: BigInt(Math.floor(staleMs)),
        services: named(services, known).map((name) => ({
          service: name,
          contracts: [...(hub.contracts.get(name)?.contracts ?? [])],
          endpoints: (known.get(name) ?? []).sort((a, b) => (a.id < b.id ? -1 : 1)).map(view),
        })),
      };
    },

    listProcesses: () => ({
      processes: Array.from(hub.sessions, (session) => ({
        process: session.hello?.process ?? "",
        node: session.hello?.node ?? "",
        version: session.hello?.version ?? "",
        address: session.address,
        attachedMs: BigInt(session.attachedAtMs),
        endpoints: [...session.leaseIds()],
        subscriptions: [...session.subscriptions.names],
        revision: BigInt(session.revision),
        appliedRevision: BigInt(session.acknowledged),
        refusedRevision: BigInt(session.applied?.error ? session.applied.revision : 0),
        refusal: session.applied?.error ?? "",
        service: session.service,
        role: session.hello?.role ?? Role.UNSPECIFIED,
      })),
    }),

    getTopology: (request) => topologyOf(hub, request),

    listContracts: ({ services }) => ({
      contracts: hub.contracts
        .all()
        .filter(({ service: name }) => services.length === 0 || services.includes(name))
        .map(({ service: name, contracts, digest, descriptors }) => ({
          service: name,
          contracts: [...contracts],
          digest,
          descriptors,
        })),
    }),

    ...ledgerAdmin(hub),

    getSettings: (request) => readSettings(hub, request),

    publishSettings: async (request) => {
      return revisionMessage(await answerPublishSettings(hub, request));
    },

    explainCall: createCallExplainer(hub.sessions),
  });
}
