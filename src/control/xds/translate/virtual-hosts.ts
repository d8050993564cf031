import { implicitRule, type RuleMatch } from "../../../policy/route/rule.ts";
import { entryRoutes, type RouteContext } from "./call-routes.ts";
import type { Document } from "./document.ts";
import type { Entry } from "./mesh-model.ts";

/** How a probe asks which revision is enforced: on the route configuration that calls take, with what only the control plane knows. */
export interface RevisionStamp {
  readonly revision: number;
  /** The value of the header field `x-weft-probe`. */
  readonly token: string;
}

/** The virtual host that answers probes with the revision. */
export const PROBE_HOST = "revision.weft.internal";
export const PROBE_FIELD = "x-weft-probe";

/** config.route.v3.RouteConfiguration of a gateway: virtual hosts by what routes name, each with the routes of less specific ones behind its own. */
export function gatewayHosts(context: RouteContext): Document[] {
  const { gateway: entries } = context.model;
  const routesOf = remembered(context);
  const exact = new Set<string>();
  const wildcards = new Set<string>();
  for (const { hostnames } of entries) {
    for (const name of hostnames) {
      const host = name.toLowerCase();
      if (host === "*") continue;
      (host.startsWith("*.") ? wildcards : exact).add(host);
    }
  }
  const contracts = contractRoutes(context);
  const longest = [...wildcards].sort((a, b) => b.length - a.length);
  const named = (host: string): Entry[] =>
    entries.filter(({ hostnames }) => hostnames.some((name) => name.toLowerCase() === host));
  const anyHost = entries.filter(({ hostnames }) => hostnames.length === 0 || hostnames.includes("*"));
  const hostOf = (host: string): Document => {
    const less = longest.filter((wildcard) => wildcard !== host && host.endsWith(wildcard.slice(1)));
    const own = [host, ...less].flatMap(named).concat(anyHost);
    return virtualHost(
      host,
      host.startsWith("*") ? [host] : [host, `${host}.`],
      [...new Set(own)].flatMap(routesOf).concat(contracts),
    );
  };
  return [...exact, ...longest]
    .map(hostOf)
    .concat(virtualHost("any", ["*"], anyHost.flatMap(routesOf).concat(contracts)));
}

/** Of an outbound listener: one virtual host a service, by its names; behind them calls by the contract that their path names. */
export function outboundHosts(context: RouteContext, services: readonly string[]): Document[] {
  const { model } = context;
  const routesOf = remembered(context);
  const taken = new Set<string>();
  const hosts = services.map((service) => {
    const names = [service, `${service}.weft`, ...model.contractsOf(service)].map((name) => name.toLowerCase());
    const domains = names.filter((name) => !taken.has(name));
    for (const name of domains) taken.add(name);
    const routes = [...model.routesOf(service), wholeService(service)].flatMap(routesOf);
    return virtualHost(service, domains, routes);
  });
  return hosts
    .filter(({ domains }) => (domains as string[]).length > 0)
    .concat(virtualHost("any", ["*"], contractRoutes(context)));
}

export function inboundHosts(context: RouteContext, service: string): Document[] {
  return [virtualHost(service, ["*"], entryRoutes(context, wholeService(service)))];
}

export function stampedRoutes(name: string, hosts: readonly Document[], { revision, token }: RevisionStamp): Document {
  return {
    name,
    virtual_hosts: [
      ...hosts,
      {
        name: "weft/probe",
        domains: [PROBE_HOST],
        routes: [
          {
            match: { prefix: "/", headers: [{ name: PROBE_FIELD, string_match: { exact: token } }] },
            direct_response: { status: 200, body: { inline_string: String(revision) } },
          },
        ],
      },
    ],
    ignore_port_in_host_matching: true,
    validate_clusters: false,
    ...(name === "inbound" && CALLER),
  };
}

/** The application is told by `x-weft-peer` who calls it, as weft's sidecars do: by the certificate alone, whatever callers say. What is removed goes first. */
const CALLER: Document = {
  request_headers_to_remove: ["x-weft-peer", "x_weft_peer", "x_weft-peer", "x-weft_peer"],
  request_headers_to_add: [
    {
      header: { key: "x-weft-peer", value: "%DOWNSTREAM_PEER_URI_SAN%" },
      append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
    },
  ],
};

/** Every call to a service, whatever its path. */
export function wholeService(service: string, path = "/"): Entry {
  const target: RuleMatch = { rule: implicitRule(service), prefix: "", cookiePath: "/" };
  return {
    plain: true,
    target,
    method: "",
    grpc: false,
    headers: [],
    query: [],
    patterns: [],
    path: { kind: "prefix", value: path },
    hostnames: [],
    preflight: false,
    order: 0,
  };
}

/** Calls that name their service by the path of its contract, where no other route takes them. */
function contractRoutes(context: RouteContext): Document[] {
  const { model } = context;
  return model.state.services.flatMap((service) =>
    model.contractsOf(service).flatMap((contract) => {
      const path = `/${contract}`;
      const own = model.routesOf(service).flatMap((entry): Entry[] => {
        const { kind, value } = entry.path;
        if (kind === "prefix" && /^\/*$/.test(value)) return [{ ...entry, path: { kind: "prefix", value: path } }];
        return (kind === "exact" || kind === "prefix") && `${value}/`.startsWith(`${path}/`) ? [entry] : [];
      });
      return [...own, wholeService(service, path)].flatMap((entry) => entryRoutes(context, entry));
    }),
  );
}

function remembered(context: RouteContext): (entry: Entry) => Document[] {
  const known = new Map<Entry, Document[]>();
  return (entry) => {
    let routes = known.get(entry);
    if (routes === undefined) known.set(entry, (routes = entryRoutes(context, entry)));
    return routes;
  };
}

function virtualHost(name: string, domains: readonly string[], routes: readonly Document[]): Document {
  return { name, domains, routes };
}
