import type {
  DataPlaneSchema,
  GetTopologyRequest,
  MeshEdgeSchema,
  MeshNodeSchema,
  NodeVersionSchema,
  TopologySchema,
} from "../../contract/gen/weft/control/v1/mesh.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { LATENCY_BUCKETS, latencyQuantile } from "../../core/latency-buckets.ts";
import type { Hub } from "../hub.ts";
import type { DataPlaneState } from "./data-plane.ts";
import { meshProblems } from "./mesh-problems.ts";
import type { EdgeRate } from "./traffic-store.ts";

/** What Admin.GetTopology answers: the system as the control plane sees it now. `elsewhere`: asks what the other control planes see, while this one looks. */
export async function topologyOf(
  hub: Hub,
  { services, probeTimeoutMs }: Pick<GetTopologyRequest, "services" | "probeTimeoutMs">,
  elsewhere: () => Promise<readonly SeenMeshPart[]> = async () => [],
): Promise<MessageInitShape<typeof TopologySchema>> {
  const [own, others] = await Promise.all([meshPartOf(hub, probeTimeoutMs), elsewhere()]);
  const parts = [own, ...others];
  const allPlanes = parts.flatMap(({ planes }) => planes);
  const allEdges = summed(parts.flatMap((part) => part.edges));
  const wanted = new Set(services);
  const concerned = ({ from, to }: MeshEdge): boolean => wanted.size === 0 || wanted.has(from) || wanted.has(to);
  const edges = allEdges.filter(concerned);
  const shown = new Set([...wanted, ...edges.flatMap(({ from, to }) => [from, to])]);
  const nodes = nodesOf(hub, allEdges, allPlanes).filter(({ name }) => wanted.size === 0 || shown.has(name));
  const planes = allPlanes.filter(({ service, kind }) => wanted.size === 0 || wanted.has(service || kind));
  const { revision, publishedMs } = hub.ledger.current;
  const now = hub.clock.wallMs();
  const probed = probeTimeoutMs > 0;
  return {
    revision: BigInt(revision),
    nodes,
    edges: edges.map((edge) => edgeMessage(edge, allEdges)),
    planes: planes.sort(byName(({ kind, process }) => `${kind} ${process}`)).map(planeMessage),
    problems: meshProblems({ nodes, edges, planes, revision, publishedMs, probed, now }),
  };
}

/** What one control plane sees of the mesh: the data planes that are attached there, and what they tell of their calls. */
export interface SeenMeshPart {
  readonly planes: readonly DataPlaneState[];
  readonly edges: readonly MeshEdge[];
}

/** This control plane's own part. */
export async function meshPartOf(hub: Hub, probeTimeoutMs: number): Promise<SeenMeshPart> {
  if (probeTimeoutMs > 0) await hub.probe(Math.min(probeTimeoutMs, MAX_PROBE_MS));
  return { planes: [...hub.planes()], edges: edgesOf(hub) };
}

/** Each edge once, in order. */
function summed(all: readonly MeshEdge[]): MeshEdge[] {
  const edges = new Map<string, MeshEdge>();
  for (const edge of all) {
    const key = `${edge.from}\n${edge.to}\n${edge.version}`;
    const sum = edges.get(key);
    if (sum === undefined) edges.set(key, edge);
    else {
      for (const count of COUNTS) sum[count] += edge[count];
      for (let i = 0; i < LATENCY_BUCKETS; i++) sum.latency[i] += edge.latency[i] ?? 0;
    }
  }
  return [...edges.values()].sort(byName(({ from, to, version }) => `${from}\n${to}\n${version}`));
}

/** All that is told of the calls from one node to one version of another, by however many processes. */
export interface MeshEdge {
  readonly from: string;
  readonly to: string;
  readonly version: string;
  /** Over the last ten seconds or so. */
  callsPerSecond: number;
  calls: number;
  errors: number;
  secure: number;
  attempts: number;
  readonly latency: Float64Array;
  allCalls: number;
  allErrors: number;
  processes: number;
}

export type MeshNode = MessageInitShape<typeof MeshNodeSchema> & { readonly name: string; readonly kind: string };

function edgesOf(hub: Hub): MeshEdge[] {
  const edges = new Map<string, MeshEdge>();
  const add = (from: string, to: string, version: string, rate: EdgeRate): MeshEdge => {
    const key = `${from}\n${to}\n${version}`;
    let edge = edges.get(key);
    if (edge === undefined) edges.set(key, (edge = newEdge(from, to, version)));
    edge.callsPerSecond += rate.calls / rate.seconds;
    edge.calls += rate.calls;
    edge.errors += rate.errors;
    edge.secure += rate.secure;
    edge.attempts += rate.attempts;
    for (let i = 0; i < LATENCY_BUCKETS; i++) edge.latency[i] += rate.latency[i];
    edge.allCalls += rate.allCalls;
    edge.allErrors += rate.allErrors;
    return edge;
  };
  for (const [{ node, gateway }, rates] of hub.traffic.rates()) {
    let outside: MeshEdge | null = null;
    for (const rate of rates) {
      // What a gateway answered without a backend came from outside all the same.
      if (rate.service !== "") add(node, rate.service, rate.version, rate).processes++;
      if (!gateway) continue;
      outside = add(OUTSIDE, node, "", rate);
      // Attempts and mutual TLS are of the calls behind it.
      outside.secure -= rate.secure;
      outside.attempts -= rate.attempts - rate.calls;
    }
    if (outside !== null) outside.processes++;
  }
  return [...edges.values()];
}

function newEdge(from: string, to: string, version: string): MeshEdge {
  const latency = new Float64Array(LATENCY_BUCKETS);
  const counts = { callsPerSecond: 0, calls: 0, errors: 0, secure: 0, attempts: 0 };
  return { from, to, version, ...counts, latency, allCalls: 0, allErrors: 0, processes: 0 };
}

function nodesOf(hub: Hub, edges: readonly MeshEdge[], planes: readonly DataPlaneState[]): MeshNode[] {
  const nodes = new Map<string, MeshNode>();
  for (const { name, endpoints } of hub.catalog.services()) {
    nodes.set(name, {
      name,
      kind: "service",
      versions: versionsOf(endpoints.values()),
      mtls: hub.mutualTls(name),
    });
  }
  for (const { kind } of planes) if (kind === "gateway") nodes.set(kind, { name: kind, kind });
  for (const { from, to } of edges) {
    if (from === OUTSIDE) nodes.set(from, { name: from, kind: OUTSIDE });
    else if (!nodes.has(from)) nodes.set(from, { name: from, kind: "client" });
    // Called, though nobody serves it.
    if (!nodes.has(to)) nodes.set(to, { name: to, kind: "service" });
  }
  return [...nodes.values()].sort(byName(({ name }) => name));
}

function versionsOf(endpoints: Iterable<Endpoint>): MessageInitShape<typeof NodeVersionSchema>[] {
  const versions = new Map<string, Counted>();
  for (const { version, health, identity = "" } of endpoints) {
    let counted = versions.get(version);
    if (counted === undefined) {
      counted = { version, endpoints: 0, healthy: 0, unhealthy: 0, draining: 0, identified: 0 };
      versions.set(version, counted);
    }
    counted.endpoints++;
    counted[health]++;
    if (identity !== "") counted.identified++;
  }
  return [...versions.values()].sort(byName(({ version }) => version));
}

interface Counted {
  version: string;
  endpoints: number;
  healthy: number;
  unhealthy: number;
  draining: number;
  identified: number;
}

function edgeMessage(edge: MeshEdge, all: readonly MeshEdge[]): MessageInitShape<typeof MeshEdgeSchema> {
  const { from, to, version, callsPerSecond, calls, latency, processes } = edge;
  let toAll = 0;
  for (const other of all) if (other.from === from && other.to === to) toAll += other.calls;
  const ofCalls = (count: number): number => (calls === 0 ? 0 : Math.min(1, count / calls));
  return {
    from,
    to,
    version,
    callsPerSecond,
    errorRatio: ofCalls(edge.errors),
    attemptsPerCall: calls === 0 ? 0 : edge.attempts / calls,
    secureRatio: ofCalls(edge.secure),
    p50Ms: latencyQuantile(latency, 0.5),
    p99Ms: latencyQuantile(latency, 0.99),
    share: toAll === 0 ? 0 : calls / toAll,
    calls: BigInt(edge.allCalls),
    errors: BigInt(edge.allErrors),
    processes,
  };
}

/** A data plane as messages have it. */
export function planeMessage(plane: DataPlaneState): MessageInitShape<typeof DataPlaneSchema> {
  const { process, kind, service, node, version, address, attachedMs, sent, acknowledged, enforced, probedMs } = plane;
  return {
    process,
    kind,
    service,
    node,
    version,
    address,
    attachedMs: BigInt(attachedMs),
    sent: BigInt(sent),
    acknowledged: BigInt(acknowledged),
    enforced: BigInt(enforced),
    probedMs: BigInt(probedMs),
    refusals: plane.refusals.map(({ revision, resource, reason }) => ({
      revision: BigInt(revision),
      resource,
      reason,
    })),
  };
}

function byName<T>(nameOf: (value: T) => string): (a: T, b: T) => number {
  return (a, b) => (nameOf(a) < nameOf(b) ? -1 : 1);
}

const COUNTS = [
  "callsPerSecond",
  "calls",
  "errors",
  "secure",
  "attempts",
  "allCalls",
  "allErrors",
  "processes",
] as const;
const OUTSIDE = "outside";
const MAX_PROBE_MS = 10_000;
