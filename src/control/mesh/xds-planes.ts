import { type IncomingMessage, request } from "node:http";
import type { Cancel, Clock } from "../../core/clock.ts";
import type { XdsLoad, XdsPlane, XdsStatus } from "../xds/status.ts";
import { PROBE_FIELD, PROBE_HOST } from "../xds/translate/virtual-hosts.ts";
import type { XdsNode } from "../xds/types.ts";
import type { DataPlaneSource, DataPlaneState } from "./data-plane.ts";
import type { EdgeReading, Reporter, TrafficStore } from "./traffic-store.ts";

export interface XdsPlanesParts {
  readonly status: Pick<XdsStatus, "planes">;
  /** By which a data plane knows that the control plane asks. */
  readonly probeToken: string;
  readonly traffic: TrafficStore;
  /** Whether every endpoint of a service proves an identity. */
  readonly identified: (service: string) => boolean;
  readonly clock: Clock;
}

/**
 * Envoys and gRPC clients as data planes of the topology: what they acknowledged and refused by xDS, and the calls that they report by LRS. An Envoy is probed by a
 * request that its routes answer themselves, with the revision that they are of; a gRPC client takes no requests, so that what it acknowledged is all that is known.
 */
export class XdsPlanes {
  readonly #parts: XdsPlanesParts;
  readonly #probed = new Map<string, { readonly revision: number; readonly atMs: number }>();
  readonly #reporting = new Set<string>();
  #cancel: Cancel;

  constructor(parts: XdsPlanesParts) {
    this.#parts = parts;
    this.#cancel = this.#wait();
  }

  close(): void {
    this.#cancel();
  }

  readonly source: DataPlaneSource = () => this.#parts.status.planes().map((plane) => this.#stateOf(plane));

  #wait(): Cancel {
    return this.#parts.clock.after(EVERY_MS, () => {
      this.#report();
      this.#cancel = this.#wait();
    });
  }

  /** What they said of their calls goes where everybody's does. */
  #report(): void {
    const { status, traffic } = this.#parts;
    const present = new Set<string>();
    for (const { node, loads } of status.planes()) {
      const reporter = reporterOf(node);
      present.add(reporter.id);
      this.#reporting.add(reporter.id);
      traffic.report(
        reporter,
        loads.filter(isOfService).map((load) => this.#readingOf(node, load)),
      );
    }
    for (const id of this.#reporting) {
      if (present.has(id)) continue;
      this.#reporting.delete(id);
      traffic.forget(id);
    }
    const nodes = new Set(status.planes().map(({ node }) => node.id));
    for (const id of this.#probed.keys()) if (!nodes.has(id)) this.#probed.delete(id);
  }

  /** "orders@v1~0f3a9c12" is a cluster of version v1 of orders. LRS tells no attempts and no latencies; who has a certificate shows it wherever one is asked for. */
  #readingOf({ identity }: XdsNode, { cluster, calls, errors }: XdsLoad): EdgeReading {
    const [service, version = ""] = cluster.split("~", 1)[0].split("@", 2);
    const secure = identity !== null && this.#parts.identified(service) ? calls : 0;
    return { service, version, calls, errors, secure, attempts: calls, buckets: [], counts: [] };
  }

  #stateOf({ node, attachedMs, revision, target, refusals }: XdsPlane): DataPlaneState {
    const probed = this.#probed.get(node.id);
    return {
      process: node.id,
      kind: node.role === "client" ? "grpc" : "envoy",
      service: node.role === "gateway" ? "" : (node.identity ?? node.cluster),
      node: "",
      version: node.agent,
      address: node.address,
      attachedMs,
      sent: target,
      acknowledged: revision,
      enforced: probed?.revision ?? 0,
      probedMs: probed?.atMs ?? 0,
      refusals: refusals.map(({ typeUrl, name, reason }) => {
        return { revision: target, resource: `${typeUrl.slice(typeUrl.lastIndexOf(".") + 1)} ${name}`, reason };
      }),
      probe: (timeoutMs) => this.#probe(node, timeoutMs),
    };
  }

  async #probe(node: XdsNode, timeoutMs: number): Promise<void> {
    if (node.role === "client") return;
    // Of a sidecar the side that its application calls out by, where it has one: the other may take no plain text.
    const isOutbound = node.role === "sidecar" && node.outbound !== 0;
    const port = isOutbound ? node.outbound : node.inbound;
    if (port === 0) return;
    const host = hostOf(isOutbound ? node.outboundHost : node.inboundHost, node.address);
    const { probeToken, clock } = this.#parts;
    const text = await ask(host, port, probeToken, timeoutMs).catch(() => "");
    if (/^\d{1,15}$/.test(text)) this.#probed.set(node.id, { revision: Number(text), atMs: clock.wallMs() });
  }
}

function reporterOf({ id, role, cluster, identity }: XdsNode): Reporter {
  const gateway = role === "gateway";
  return { id: `xds ${id}`, node: gateway ? "gateway" : (identity ?? (cluster || id)), gateway };
}

/** Clusters of the mesh's own ("weft.control", "weft/app") are no services, and what was never called is no edge. */
function isOfService({ cluster, calls }: XdsLoad): boolean {
  return calls > 0 && !cluster.startsWith("weft.") && !cluster.includes("/");
}

/** Where a data plane is asked: at the address that it comes from, whatever else it says, so that nobody can have others asked. */
function hostOf(bound: string, address: string): string {
  const from = address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  return bound.startsWith("127.") && from.startsWith("127.") ? bound : from;
}

/** The body of the answer. */
function ask(host: string, port: number, token: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({
      host,
      port,
      path: "/",
      headers: { host: PROBE_HOST, [PROBE_FIELD]: token, connection: "close" },
      signal: AbortSignal.timeout(timeoutMs),
    });
    asking.on("error", reject);
    asking.on("response", (response: IncomingMessage) => {
      let text = "";
      response.setEncoding("latin1");
      response.on("error", reject);
      response.on("data", (part: string) => {
        text += part;
        if (text.length > MAX_ANSWER) asking.destroy(new Error("the answer is no revision"));
      });
      response.on("end", () => resolve(response.statusCode === 200 ? text : ""));
    });
    asking.end();
  });
}

const EVERY_MS = 1_000;
const MAX_ANSWER = 64;
