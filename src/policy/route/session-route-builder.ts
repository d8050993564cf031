import { policyName } from "../resource/builder-parts.ts";
import { GATEWAY_API, type ParentRef, type Resource, type SessionRoute } from "../resource/resources.ts";

/**
 * Makes a TCPRoute, UDPRoute or TLSRoute. Every method gives a new builder and leaves the old one as it was.
 *
 *     tcpRoute("db").to("postgres")                                    connections to the listener called db
 *     tlsRoute("*.shop.example").to({ "web@v1": 9, "web@v2": 1 })      by the server name that is asked for
 */
export interface SessionRouteBuilder {
  /** Where sessions go: a service or one of its versions ("postgres@v16"), or several with their shares. */
  to(backend: string | Readonly<Record<string, number>>): SessionRouteBuilder;
  /** Only at these listeners of the gateway, by name or port. */
  at(...listeners: (string | number)[]): SessionRouteBuilder;
  /** Sessions to this service from sidecars, in place of those that come to the gateway. */
  of(service: string): SessionRouteBuilder;
  /** The resource's name. Default: made of the listener, the service or the server name. */
  named(name: string): SessionRouteBuilder;
  resources(): readonly Resource[];
}

/** Begins a route of TCP connections: at a listener of the gateway (name or port); without one at all of them that are for TCP. */
export function tcpRoute(listener?: string | number): SessionRouteBuilder {
  return make({ kind: "TCPRoute", name: "", hostnames: [], parents: at(listener), backends: {} });
}

/** Begins a route of datagrams, as tcpRoute. */
export function udpRoute(listener?: string | number): SessionRouteBuilder {
  return make({ kind: "UDPRoute", name: "", hostnames: [], parents: at(listener), backends: {} });
}

/** Begins a route of TLS connections, which are passed through, by the server names that they ask for; without one: whatever they ask for. */
export function tlsRoute(...hostnames: string[]): SessionRouteBuilder {
  return make({ kind: "TLSRoute", name: "", hostnames, parents: [], backends: {} });
}

interface Parts {
  readonly kind: SessionRoute["kind"];
  readonly name: string;
  readonly hostnames: readonly string[];
  readonly parents: readonly ParentRef[];
  readonly backends: Readonly<Record<string, number>>;
}

function make(parts: Parts): SessionRouteBuilder {
  const change = (changes: Partial<Parts>): SessionRouteBuilder => make({ ...parts, ...changes });
  return {
    to: (backend) => change({ backends: typeof backend === "string" ? { [backend]: 1 } : backend }),
    at: (...listeners) => change({ parents: [...parts.parents, ...listeners.flatMap((listener) => at(listener))] }),
    of: (service) => change({ parents: [...parts.parents, { kind: "Service", name: service }] }),
    named: (name) => change({ name }),
    resources: () => [resourceOf(parts)],
  };
}

function at(listener: string | number | undefined): ParentRef[] {
  if (listener === undefined) return [];
  return [{ name: "gateway", ...(typeof listener === "number" ? { port: listener } : { sectionName: listener }) }];
}

function resourceOf({ kind, name, hostnames, parents, backends }: Parts): SessionRoute {
  const [parent] = parents;
  const about =
    hostnames[0] ?? (parent?.kind === "Service" ? parent.name : (parent?.sectionName ?? parent?.port ?? kind));
  return {
    apiVersion: GATEWAY_API,
    kind,
    metadata: { name: name || policyName({ kind: "System", name: String(about) }) },
    spec: {
      ...(parents.length === 0 ? {} : { parentRefs: parents }),
      ...(kind === "TLSRoute" && hostnames.length > 0 ? { hostnames } : {}),
      rules: [
        {
          name: "main",
          backendRefs: Object.entries(backends).map(([service, weight]) => ({
            name: service,
            ...(weight === 1 ? {} : { weight }),
          })),
        },
      ],
    },
  } as SessionRoute;
}
