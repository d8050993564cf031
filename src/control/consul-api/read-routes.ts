import { isIP } from "node:net";
import type { Endpoint } from "../../core/endpoint.ts";
import { tagsOf } from "../../core/endpoint-tags.ts";
import { isServiceName } from "../../registry/validate.ts";
import type { ConsulView } from "./consul-view.ts";
import { isSet, type Queries } from "./queries.ts";
import { bad, unknown } from "./refusal.ts";
import type { ConsulRequest, Routes } from "./router.ts";
import { nodeId, type OwnNode, type Shapes, worstOf } from "./shapes.ts";

export interface ReadParts {
  readonly own: OwnNode;
  /** Of this program. */
  readonly version: string;
  /** Where this API listens. */
  readonly address: () => string;
  readonly view: ConsulView;
  readonly shapes: Shapes;
  readonly queries: Queries;
}

/** What is asked: agent, catalog, health, status. */
export function readRoutes({ own, version, address, view, shapes, queries }: ReadParts): Routes {
  const service = (
    request: ConsulRequest,
    answer: (found: readonly Endpoint[]) => unknown,
    more: readonly string[] = [],
  ) => {
    const [name] = request.params;
    assertName(name);
    const tags = more.includes("tag") ? request.query.getAll("tag") : [];
    return queries.blocking(
      request,
      { kind: "service", service: name },
      (confirmed) =>
        answer((confirmed ?? view.of(name)).filter((endpoint) => tags.length === 0 || hasTags(endpoint, tags))),
      more,
    );
  };
  const registeredHere = (): Endpoint[] =>
    [...view.marks].filter(([, mark]) => mark.node === "").flatMap(([id]) => view.get(id) ?? []);
  const nodes = (confirmed: readonly Endpoint[] | null): Map<string, Endpoint[]> => {
    const found = new Map<string, Endpoint[]>([[own.name, []]]);
    for (const endpoint of confirmed ?? view.endpoints()) {
      const name = shapes.nodeOf(endpoint);
      const list = found.get(name);
      if (list === undefined) found.set(name, [endpoint]);
      else list.push(endpoint);
    }
    return found;
  };
  /** A node with its services; null for one that is not there. */
  const node = (request: ConsulRequest, services: (found: readonly Endpoint[]) => unknown) =>
    queries.blocking(request, { kind: "all" }, (confirmed) => {
      const [name] = request.params;
      const found = nodes(confirmed).get(name) ?? [];
      if (found.length === 0 && name !== own.name) return null;
      return { Node: shapes.node(name, nodeAddress(name, found[0])), Services: services(found) };
    });
  const member = (): Record<string, unknown> => ({
    Name: own.name,
    Addr: own.address,
    Port: 0,
    Tags: { role: "consul", dc: own.datacenter, build: `${version || "0"}:weft`, id: nodeId(own.name) },
    Status: 1,
    ProtocolMin: 1,
    ProtocolMax: 5,
    ProtocolCur: 2,
    DelegateMin: 2,
    DelegateMax: 5,
    DelegateCur: 4,
  });
  const agentHealth = (endpoints: readonly Endpoint[]) => {
    const entries = endpoints.map((endpoint) => {
      const Checks = shapes.checks(endpoint);
      return { AggregatedStatus: worstOf(Checks), Service: shapes.agentService(endpoint), Checks };
    });
    const worst = worstOf(entries.flatMap(({ Checks }) => Checks));
    return { entries, status: worst === "passing" ? 200 : worst === "warning" ? 429 : 503 };
  };

  return {
    "GET /v1/agent/services": ({ query }) => {
      queries.check(query);
      return {
        json: Object.fromEntries(registeredHere().map((one) => [shapes.serviceId(one), shapes.agentService(one)])),
      };
    },
    "GET /v1/agent/service/:id": ({ query, params: [id] }) => {
      queries.check(query);
      const found = registeredHere().find((endpoint) => shapes.serviceId(endpoint) === id);
      if (found === undefined) throw unknown(`unknown service ID: ${id.slice(0, 128)}`);
      return { json: shapes.agentService(found) };
    },
    "GET /v1/agent/checks": ({ query }) => {
      queries.check(query);
      const checks = registeredHere().flatMap((endpoint) => shapes.checks(endpoint));
      return { json: Object.fromEntries(checks.map((check) => [check.CheckID, check])) };
    },
    "GET /v1/agent/health/service/name/:name": ({ query, params: [name] }) => {
      queries.check(query);
      const found = registeredHere().filter((endpoint) => endpoint.service === name);
      if (found.length === 0) return { status: 404, json: [] };
      const { entries, status } = agentHealth(found);
      return { status, json: entries };
    },
    "GET /v1/agent/health/service/id/:id": ({ query, params: [id] }) => {
      queries.check(query);
      const found = registeredHere().filter((endpoint) => shapes.serviceId(endpoint) === id);
      if (found.length === 0) throw unknown(`ServiceId ${id.slice(0, 128)} not found`);
      const { entries, status } = agentHealth(found);
      return { status, json: entries[0] };
    },
    "GET /v1/agent/members": ({ query }) => {
      queries.check(query, ["segment", "wan"]);
      return { json: [member()] };
    },
    "GET /v1/agent/self": ({ query }) => {
      queries.check(query);
      const Config = {
        Datacenter: own.datacenter,
        PrimaryDatacenter: own.datacenter,
        NodeName: own.name,
        NodeID: nodeId(own.name),
        Revision: "weft",
        Server: true,
        Version: version,
      };
      return { json: { Config, Member: member(), Meta: {} } };
    },

    "GET /v1/catalog/services": (request) =>
      queries.blocking(request, { kind: "list" }, (confirmed) =>
        Object.fromEntries(
          [...Map.groupBy(confirmed ?? view.endpoints(), ({ service }) => service)]
            .map(([name, found]): [string, string[]] => [name, [...new Set(found.flatMap(tagsOf))].sort()])
            .sort(([a], [b]) => (a < b ? -1 : 1)),
        ),
      ),
    "GET /v1/catalog/service/:name": (request) =>
      service(request, (found) => found.map((one) => shapes.catalogService(one)), ["tag"]),
    "GET /v1/catalog/nodes": (request) =>
      queries.blocking(request, { kind: "list" }, (confirmed) =>
        [...nodes(confirmed)]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, [first]]) => shapes.node(name, nodeAddress(name, first))),
      ),
    "GET /v1/catalog/node/:node": (request) =>
      node(request, (found) =>
        Object.fromEntries(found.map((one) => [shapes.serviceId(one), shapes.agentService(one)])),
      ),
    "GET /v1/catalog/node-services/:node": (request) =>
      node(request, (found) => found.map((one) => shapes.agentService(one))),
    "GET /v1/catalog/datacenters": ({ query }) => {
      queries.check(query);
      return { json: [own.datacenter] };
    },

    "GET /v1/health/service/:name": (request) =>
      service(
        request,
        (found) => {
          const entries = found.map((endpoint) => shapes.healthEntry(endpoint));
          return isSet(request.query, "passing")
            ? entries.filter(({ Checks }) => worstOf(Checks) === "passing")
            : entries;
        },
        ["tag", "passing"],
      ),
    "GET /v1/health/checks/:name": (request) =>
      service(request, (found) => found.flatMap((endpoint) => shapes.checks(endpoint))),
    "GET /v1/health/node/:node": (request) =>
      queries.blocking(request, { kind: "all" }, (confirmed) =>
        (nodes(confirmed).get(request.params[0]) ?? []).flatMap((endpoint) => shapes.checks(endpoint)),
      ),
    "GET /v1/health/state/:state": (request) => {
      const [state] = request.params;
      if (!["any", "passing", "warning", "critical"].includes(state))
        throw bad("must be any, passing, warning or critical", "state");
      return queries.blocking(request, { kind: "all" }, (confirmed) =>
        [...(confirmed ?? view.endpoints())]
          .flatMap((endpoint) => shapes.checks(endpoint))
          .filter(({ Status }) => state === "any" || Status === state),
      );
    },

    "GET /v1/status/leader": ({ query }) => {
      queries.check(query);
      return { json: address() };
    },
    "GET /v1/status/peers": ({ query }) => {
      queries.check(query);
      return { json: [address()] };
    },
  };

  function nodeAddress(name: string, first: Endpoint | undefined): string {
    return isIP(name) !== 0 ? name : (first?.host ?? own.address);
  }
}

function hasTags(endpoint: Endpoint, tags: readonly string[]): boolean {
  const own = tagsOf(endpoint).map((tag) => tag.toLowerCase());
  return tags.every((tag) => own.includes(tag.toLowerCase()));
}

function assertName(name: string): void {
  if (isServiceName(name)) return;
  throw bad(
    `must be a DNS label (lower-case letters, digits and inner hyphens, at most 63 characters), not ${JSON.stringify(name.slice(0, 80))}`,
    "service",
  );
}
