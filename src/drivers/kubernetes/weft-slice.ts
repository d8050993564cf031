import { createHash } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import type { Endpoint, Protocol } from "../../core/endpoint.ts";
import {
  decodeEndpointEntry,
  type EndpointEntry,
  encodeEndpointEntry,
  visibleOf,
} from "../../registry/endpoint-value.ts";
import type { ApiObject } from "./api-resource.ts";

/**
 * How weft keeps an entry in an EndpointSlice: one slice an endpoint. So its name follows from the endpoint's id, to register over an id or to move it to another service is a write to one object, and one
 * resourceVersion is what is compared. (In one slice for many endpoints, each change of health would compete with all others, and an id could be in two of them.)
 *
 * The annotation has all of it, and is what weft reads; `endpoints` and `ports` say what others (kube-proxy, gateways) can make use of. Addresses that Kubernetes takes from nobody (loopback, link-local, names)
 * are in the annotation alone.
 */
export const MANAGED_BY = "endpointslice.kubernetes.io/managed-by";
/** Label: which service the endpoints of a slice are of. */
export const SERVICE_NAME = "kubernetes.io/service-name";
/** Who manages slices of weft's. */
export const WEFT = "weftmesh.dev";
/** Label: whose slice it is. */
export const SYSTEM_LABEL = "weftmesh.dev/system";
const ENTRY = "weftmesh.dev/entry";

/** Of an endpoint's slice: readable, and one for each id. */
export function sliceName(system: string, id: string): string {
  const readable = id
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 60)
    .replace(/^-|-$/g, "");
  const digest = createHash("sha256").update(id).digest("hex").slice(0, 32);
  return `weft-${system}-${readable === "" ? "" : `${readable}-`}${digest}`;
}

/** What is written. `addressType`: of the slice that is replaced, for it never changes; an address of another kind is left to the annotation. */
export function encodeSlice(entry: EndpointEntry, system: string, addressType = addressTypeOf(entry.endpoint)) {
  const { endpoint } = entry;
  const { health } = visibleOf(entry);
  const conditions = {
    ready: health === "healthy",
    serving: health !== "unhealthy",
    terminating: health === "draining",
  };
  const zone = endpoint.zone === "" ? {} : { zone: endpoint.zone };
  const told = isForOthers(endpoint) && addressTypeOf(endpoint) === addressType;
  return {
    metadata: {
      name: sliceName(system, endpoint.id),
      labels: { [MANAGED_BY]: WEFT, [SERVICE_NAME]: endpoint.service, [SYSTEM_LABEL]: system },
      annotations: { [ENTRY]: Buffer.from(encodeEndpointEntry(entry)).toString("utf8") },
    },
    addressType,
    endpoints: told ? [{ addresses: [endpoint.host], conditions, ...zone }] : [],
    ports: [{ name: "", port: endpoint.port, ...PORTS[endpoint.protocol] }],
  };
}

/** Throws for what is no entry of its name: anybody who may write there can have written it. */
export function decodeSlice({ metadata }: ApiObject, system: string): EndpointEntry {
  const text = metadata.annotations[ENTRY];
  if (text === undefined) throw new Error(`it has no annotation ${ENTRY}`);
  const entry = decodeEndpointEntry(Buffer.from(text));
  if (entry.owner === "") throw new Error("its owner is nobody");
  if (sliceName(system, entry.endpoint.id) !== metadata.name)
    throw new Error(`it is of ${JSON.stringify(entry.endpoint.id)}`);
  return entry;
}

/** Of an endpoint's slice, which never changes it. */
export function addressTypeOf({ host }: Endpoint): "IPv4" | "IPv6" {
  return isIPv6(host) ? "IPv6" : "IPv4";
}

/** What Kubernetes' validation lets into a slice: unicast addresses that mean the same on every node. */
function isForOthers({ host }: Endpoint): boolean {
  if (isIPv4(host)) return !/^(?:0|127|169\.254|2(?:2[4-9]|3\d))\./.test(host) && host !== "255.255.255.255";
  // Others than plain, canonical ones are not worth a refusal.
  return isIPv6(host) && /^[0-9a-f:]+$/.test(host) && !/^(?:::1?$|fe[89ab]|ff)/.test(host);
}

const PORTS: Record<Protocol, { protocol: "TCP" | "UDP"; appProtocol?: string }> = {
  h2c: { protocol: "TCP", appProtocol: "kubernetes.io/h2c" },
  h2: { protocol: "TCP", appProtocol: "https" },
  http1: { protocol: "TCP", appProtocol: "http" },
  tcp: { protocol: "TCP" },
  udp: { protocol: "UDP" },
};
