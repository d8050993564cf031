import { createHash } from "node:crypto";
import type { Endpoint } from "../../../core/endpoint.ts";
import type { EffectivePolicy } from "../../../policy/snapshot/effective-policy.ts";
import { CLUSTER, ENDPOINTS, LISTENER, ROUTE } from "../types.ts";
import type { RouteContext, RouteRole } from "./call-routes.ts";
import {
  clusterSettings,
  type EndpointTraits,
  grpcCluster,
  grpcClusterSettings,
  serviceCluster,
  traitsOf,
} from "./cluster.ts";
import type { Document } from "./document.ts";
import { CLIENT_FILTERS, clientRoutes } from "./grpc-client.ts";
import { ListenerFilters } from "./listener-filters.ts";
import { clientListener, inboundListener, plainListener } from "./listeners.ts";
import { loadAssignment, type Placement, placementOf } from "./load-assignment.ts";
import type { MeshModel } from "./mesh-model.ts";
import { gatewayHosts, inboundHosts, outboundHosts, type RevisionStamp, stampedRoutes } from "./virtual-hosts.ts";

/** What nodes that are alike get the same of. */
export interface ViewKey {
  readonly role: "gateway" | "outbound" | "client";
  /** It has a certificate to show. */
  readonly proven: boolean;
  /** For priorities that go by the caller's zone. */
  readonly zone: string;
}

interface ClusterPolicy {
  readonly settings: Document;
  readonly placement: Placement;
  readonly text: string;
}

/** A cluster that routes name, and what its endpoints are made of. */
interface ClusterUse {
  readonly service: string;
  readonly version: string;
  readonly settings: Document;
  readonly placement: Placement;
  readonly endpointsName: string;
}

/**
 * One revision as nodes of a kind see it: its routes, and the clusters that they name. Endpoints are looked up when they are asked for, so that a change of one
 * encodes what it is in and nothing else.
 */
export class MeshView {
  readonly key: ViewKey;
  /** By type URL and name, without clusters and endpoints. */
  readonly fixed: ReadonlyMap<string, ReadonlyMap<string, Document>>;
  /** HTTP filters of the listener that a node of the view has. */
  readonly filters: readonly Document[];
  readonly #model: MeshModel;
  readonly #parts = new WeakMap<EffectivePolicy, ClusterPolicy>();
  readonly #clusters = new Map<string, ClusterUse>();
  readonly #outside: ReadonlyMap<string, Document>;
  readonly #byService = new Map<string, Set<string>>();

  constructor(model: MeshModel, key: ViewKey, stamp: RevisionStamp) {
    this.#model = model;
    this.key = key;
    const routes = new Map<string, Document>();
    const listeners = new Map<string, Document>();
    if (key.role === "client") {
      this.filters = CLIENT_FILTERS;
      this.#outside = new Map();
      for (const service of model.state.services) {
        const name = `grpc/${service}`;
        routes.set(
          name,
          clientRoutes(model, name, service, (backend, policy) => this.#use(backend, policy, false)),
        );
        listeners.set(service, clientListener(service, name, CLIENT_FILTERS));
      }
    } else {
      const { role } = key;
      const filters = new ListenerFilters(role);
      const context: RouteContext = {
        model,
        role,
        filters,
        cluster: (backend, policy) => this.#use(backend, policy, role === "gateway"),
      };
      const hosts = role === "gateway" ? gatewayHosts(context) : outboundHosts(context, model.state.services);
      routes.set(role, stampedRoutes(role, hosts, stamp));
      this.filters = filters.httpFilters();
      this.#outside = filters.clusters;
    }
    this.fixed = new Map([
      [LISTENER, listeners],
      [ROUTE, routes],
    ]);
    for (const [name, { service }] of this.#clusters) {
      const names = this.#byService.get(service);
      if (names === undefined) this.#byService.set(service, new Set([name]));
      else names.add(name);
    }
  }

  /** Clusters and their endpoints, by type URL and name: of one service, or of all. */
  *endpointDocuments(of: string | null): Generator<readonly [typeUrl: string, name: string, document: Document]> {
    if (of === null) for (const [name, document] of this.#outside) yield [CLUSTER, name, document];
    const names = of === null ? this.#clusters.keys() : (this.#byService.get(of) ?? []);
    for (const name of names) {
      const use = this.#clusters.get(name) as ClusterUse;
      const endpoints = this.#endpointsOf(use);
      const traits = traitsOf(endpoints);
      const assignment = loadAssignment(use.endpointsName, endpoints, traits.http2, use.placement);
      yield [CLUSTER, name, this.#clusterDocument(name, use, traits, assignment)];
      if (!traits.named || this.key.role === "client") yield [ENDPOINTS, use.endpointsName, assignment];
    }
  }

  #clusterDocument(name: string, use: ClusterUse, traits: EndpointTraits, assignment: Document): Document {
    if (this.key.role === "client") return grpcCluster(name, use.endpointsName, use.settings);
    return serviceCluster({
      name,
      system: this.#model.state.system,
      service: use.service,
      traits,
      endpointsName: use.endpointsName,
      inline: traits.named ? { ...assignment, cluster_name: name } : null,
      settings: use.settings,
      proven: this.key.proven,
      mtls: this.#model.servicePolicy(false, use.service, "").mtls,
    });
  }

  #endpointsOf({ service, version }: ClusterUse): Endpoint[] {
    const endpoints: Endpoint[] = [];
    for (const endpoint of this.#model.state.endpointsOf(service))
      if (version === "" || endpoint.version === version) endpoints.push(endpoint);
    return endpoints.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** What of a policy is a cluster's, made once for all clusters that it holds for. */
  #partsOf(policy: EffectivePolicy): ClusterPolicy {
    let parts = this.#parts.get(policy);
    if (parts === undefined) {
      const settings = (this.key.role === "client" ? grpcClusterSettings : clusterSettings)(policy);
      const placement = placementOf(policy.balancer, this.key.zone);
      parts = { settings, placement, text: JSON.stringify([settings, placement]) };
      this.#parts.set(policy, parts);
    }
    return parts;
  }

  /** The name of the cluster for a policy: that of the backend, with a digest behind it where the policy is not the service's own. */
  #use({ service, version }: { service: string; version: string }, policy: EffectivePolicy, gateway: boolean): string {
    const base = version === "" ? service : `${service}@${version}`;
    const { settings, placement, text } = this.#partsOf(policy);
    const own = text === this.#partsOf(this.#model.servicePolicy(gateway, service, version)).text;
    const name = own ? base : `${base}~${digest(text)}`;
    if (!this.#clusters.has(name)) {
      const standard = JSON.stringify(placement) === JSON.stringify({ ...STANDARD, zone: placement.zone });
      const endpointsName = standard ? base : `${base}~${digest(JSON.stringify(placement))}`;
      this.#clusters.set(name, { service, version, settings, placement, endpointsName });
    }
    return name;
  }
}

const STANDARD: Placement = {
  weighted: true,
  zoneOrder: null,
  zone: "",
  priorityFrom: "",
  overprovisioning: 1.4,
  subsetKeys: [],
};

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

/** What one node gets beside its view: listeners, and of a sidecar what comes in. */
export interface NodePlace {
  readonly service: string;
  readonly role: "gateway" | "sidecar" | "client";
  /** Where its listener for others is bound, and the one for its application. */
  readonly host: string;
  readonly outboundHost: string;
  readonly inbound: number;
  readonly outbound: number;
  /** "127.0.0.1:8080" */
  readonly app: string;
  /** Whether that speaks HTTP/2; null: it is not known yet. */
  readonly http2App: boolean | null;
}

export function nodeDocuments(
  view: MeshView,
  model: MeshModel,
  place: NodePlace,
  stamp: RevisionStamp,
): readonly (readonly [typeUrl: string, name: string, document: Document])[] {
  if (place.role === "client") return [];
  if (place.role === "gateway") {
    const { host, inbound: port } = place;
    if (port === 0) return [];
    return [[LISTENER, "gateway", plainListener({ name: "gateway", host, port, filters: view.filters })]];
  }
  const made: (readonly [string, string, Document])[] = [];
  const { service, host, inbound, outbound, outboundHost, app } = place;
  if (outbound > 0) {
    const parts = { name: "outbound", host: outboundHost, port: outbound, filters: view.filters };
    made.push([LISTENER, "outbound", plainListener(parts)]);
  }
  if (inbound > 0 && app !== "") {
    const role: RouteRole = "inbound";
    const filters = new ListenerFilters(role);
    const hosts = inboundHosts({ model, role, filters, cluster: () => APP }, service);
    const { mtls } = model.servicePolicy(false, service, "");
    const parts = { name: "inbound", host, port: inbound, filters: filters.httpFilters(false) };
    // Who cannot show a certificate cannot take calls over TLS; of a strict service it takes none.
    // "off" takes it all the same, as weft's own sidecars do: for a moment callers go by the policy from before.
    const mode = !view.key.proven ? "off" : mtls === "off" ? "permissive" : mtls;
    if (view.key.proven || mtls !== "strict") {
      made.push([LISTENER, "inbound", inboundListener(parts, filters.httpFilters(true), model.state.system, mode)]);
      made.push([ROUTE, "inbound", stampedRoutes("inbound", hosts, stamp)]);
      made.push([CLUSTER, APP, appCluster(app, place.http2App)]);
      for (const [name, document] of filters.clusters) made.push([CLUSTER, name, document]);
    }
  }
  return made;
}

const APP = "weft/app";

/** Of an application that nobody knows yet, callers have been told what they speak to it, and it gets that. */
function appCluster(app: string, http2: boolean | null): Document {
  const at = app.lastIndexOf(":");
  const host = app.slice(0, at).replace(/^\[|\]$/g, "");
  return {
    name: APP,
    type: "STRICT_DNS",
    connect_timeout: "2s",
    load_assignment: {
      cluster_name: APP,
      endpoints: [
        {
          lb_endpoints: [
            { endpoint: { address: { socket_address: { address: host, port_value: Number(app.slice(at + 1)) } } } },
          ],
        },
      ],
    },
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        ...(http2 === null
          ? { use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} } }
          : { explicit_http_config: http2 ? { http2_protocol_options: {} } : { http_protocol_options: {} } }),
      },
    },
    circuit_breakers: {
      thresholds: [
        { max_connections: 100_000, max_pending_requests: 100_000, max_requests: 100_000, max_retries: 100_000 },
      ],
    },
  };
}
