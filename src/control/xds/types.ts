/** What one data plane is told, by type and name: immutable, shared by every stream that gets it, replaced as a whole. */
export interface XdsSnapshot {
  /** Revision of the resources that it was made from; what people see as applied. */
  readonly revision: number;
  /** Shown by data planes as the version of what they have: "41.1007". Not interpreted. */
  readonly version: string;
  /** By type URL and name. A map whose content stayed as it was should stay the same object: it is not looked through again then. */
  readonly resources: ReadonlyMap<string, ReadonlyMap<string, XdsResource>>;
}

/** One resource, encoded once for all who get it (resource.ts makes it). */
export interface XdsResource {
  readonly typeUrl: string;
  readonly name: string;
  /** A digest of `bytes`. */
  readonly version: string;
  /** The encoded message. */
  readonly bytes: Uint8Array;
  /** What it refers to: clusters of a route, the endpoints of a cluster, the routes of a listener. These are made before it and removed after it. */
  readonly needs: readonly XdsReference[];
}

export interface XdsReference {
  readonly typeUrl: string;
  readonly name: string;
}

/** Who asks. What it says of itself, unless `identity` is set: that was proven. */
export interface XdsNode {
  /** The instance. */
  readonly id: string;
  /** A service's name, or "gateway". */
  readonly cluster: string;
  readonly role: "gateway" | "sidecar" | "client";
  readonly zone: string;
  /** "envoy 1.40.0", "gRPC Go 1.76.0" */
  readonly agent: string;
  /** From metadata "weft"; 0 and "" where it does not say, hosts 127.0.0.1. */
  readonly inbound: number;
  readonly inboundHost: string;
  readonly outbound: number;
  readonly outboundHost: string;
  readonly app: string;
  /** The service that its join token was made for; null where the control plane takes whoever reaches it. */
  readonly identity: string | null;
  /** Of the application that it stands beside. */
  readonly version: string;
  /** Whether the control plane registers its endpoint; false: somebody else does. Default true. */
  readonly registers?: boolean;
  /** Where it connects from. */
  readonly address: string;
}

/** Where a server takes its resources from. */
export interface XdsSource {
  /** Begins to make resources for a node. `changed` is called when `snapshot` was replaced. Throws a WeftError for who gets nothing. */
  open(node: XdsNode, changed: () => void): XdsFeed;
}

export interface XdsFeed {
  /** Null while there is nothing yet: the node waits, and keeps what it has. */
  readonly snapshot: XdsSnapshot | null;
  close(): void;
}

export const LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener";
export const ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
export const CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
export const ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
export const SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
