import type { ClusterStats } from "../../contract/gen/envoy/config/endpoint/v3/load_report.ts";
import { WeftError } from "../../core/errors.ts";
import { printable } from "../../core/printable.ts";
import type { AdsMachine } from "./ads-machine.ts";
import type { Refusal } from "./subscription.ts";
import type { XdsNode } from "./types.ts";

/** The data planes that are attached by xDS, what each has accepted and refused, and the load that it reports. Kept in memory. */
export class XdsStatus {
  readonly #streams = new Set<XdsStream>();
  /** Node to how many streams it has open. */
  readonly #nodes = new Map<string, number>();
  /** Node to cluster to what it was called. */
  readonly #loads = new Map<string, Map<string, XdsLoad>>();
  readonly #log: (line: string) => void;
  readonly #onEnd = new Set<() => void>();

  /** `log` gets a line for every refusal, either way. */
  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  get streams(): ReadonlySet<XdsStream> {
    return this.#streams;
  }

  attach(stream: XdsStream): void {
    this.#streams.add(stream);
  }

  /** It has said who it is, and may have resources. */
  named({ node }: XdsStream): void {
    this.#nodes.set(node.id, (this.#nodes.get(node.id) ?? 0) + 1);
  }

  /** Throws `permission_denied` where a node of this id is attached that has proved another identity: nobody speaks for it. */
  assertNobodyElse(id: string, identity: string | null): void {
    for (const { node } of this.#streams) {
      if (node.id !== id || node.identity === null || node.identity === identity) continue;
      const text = `a data plane "${id}" of ${node.identity} is attached, and this one has not proved to be it; give it an id of its own (node.id), or the same join token`;
      throw new WeftError("permission_denied", text, { reason: "NODE_TAKEN", place: { field: "node.id" } });
    }
  }

  detach(stream: XdsStream): void {
    this.#streams.delete(stream);
    const { id } = stream.node;
    const left = (this.#nodes.get(id) ?? 0) - 1;
    if (left > 0) {
      this.#nodes.set(id, left);
      return;
    }
    this.#nodes.delete(id);
    this.#loads.delete(id);
  }

  /** For other streams than those of resources. Returns how to stop listening. */
  onEnd(listener: () => void): () => void {
    this.#onEnd.add(listener);
    return () => this.#onEnd.delete(listener);
  }

  /** Ends all streams, orderly. */
  end(): void {
    for (const listener of this.#onEnd) listener();
    for (const stream of this.#streams) stream.end();
  }

  refused({ node, machine }: XdsStream, { typeUrl, name, reason }: Refusal): void {
    const kind = typeUrl.slice(typeUrl.lastIndexOf(".") + 1);
    const line = `xds: ${node.agent || "a data plane"} "${node.id}" of ${node.cluster || "no service"} refuses ${kind} "${name}" of revision ${machine.target?.revision ?? 0} and keeps what it had: ${reason}`;
    this.#log(printable(line, MAX_LINE));
  }

  /** A node that is not who it says, or gets nothing. */
  sentAway({ id, cluster, address }: XdsNode, { message, reason }: WeftError): void {
    this.#log(
      printable(`xds: "${id}" of ${cluster || "no service"} at ${address} was sent away: ${message} (${reason})`),
    );
  }

  /** One entry a node, with the streams that it has open taken together. */
  planes(): XdsPlane[] {
    const planes = new Map<string, XdsPlane>();
    for (const { node, delta, machine, attachedMs } of this.#streams) {
      if (node.id === "") continue; // it has not said yet who it is
      const before = planes.get(node.id);
      const revision = machine.applied?.revision ?? 0;
      planes.set(node.id, {
        node,
        protocol: delta ? "delta" : "sotw",
        attachedMs: Math.min(before?.attachedMs ?? attachedMs, attachedMs),
        revision: Math.min(before?.revision ?? revision, revision),
        accepted: (before?.accepted ?? true) && machine.applied !== null,
        target: Math.max(before?.target ?? 0, machine.target?.revision ?? 0),
        refusals: [...(before?.refusals ?? []), ...machine.refusals()],
        loads: [...(this.#loads.get(node.id)?.values() ?? [])],
      });
    }
    return [...planes.values()].sort((a, b) => (a.node.id < b.node.id ? -1 : 1));
  }

  /** Adds what a node reports to what it reported before. Only of nodes that are attached: others are nobody's. */
  report(node: string, stats: readonly ClusterStats[], nowMs: number): void {
    if (!this.#nodes.has(node)) return;
    let loads = this.#loads.get(node);
    if (loads === undefined) this.#loads.set(node, (loads = new Map()));
    for (const { clusterName, upstreamLocalityStats, totalDroppedRequests } of stats) {
      const before = loads.get(clusterName);
      if (before === undefined && loads.size >= MAX_CLUSTERS) continue;
      let calls = before?.calls ?? 0;
      let errors = before?.errors ?? 0;
      let inFlight = 0;
      for (const locality of upstreamLocalityStats) {
        calls += Number(locality.totalSuccessfulRequests + locality.totalErrorRequests);
        errors += Number(locality.totalErrorRequests);
        inFlight += Number(locality.totalRequestsInProgress);
      }
      const dropped = (before?.dropped ?? 0) + Number(totalDroppedRequests);
      loads.set(clusterName, { cluster: clusterName, calls, errors, dropped, inFlight, measuredMs: nowMs });
    }
  }
}

/** One stream, as the store sees it. */
export interface XdsStream {
  readonly node: XdsNode;
  readonly delta: boolean;
  readonly machine: AdsMachine;
  /** Epoch ms. */
  readonly attachedMs: number;
  end(): void;
}

export interface XdsPlane {
  readonly node: XdsNode;
  readonly protocol: "delta" | "sotw";
  readonly attachedMs: number;
  /** The latest revision that the data plane accepted whole; 0 for none yet, and for what is there before anything was published. */
  readonly revision: number;
  /** Whether it has accepted any whole. */
  readonly accepted: boolean;
  /** The revision that it is being told. Above `revision`: it has not answered yet, or refuses some of it. */
  readonly target: number;
  readonly refusals: readonly Refusal[];
  readonly loads: readonly XdsLoad[];
}

/** Calls to one cluster since the data plane attached, as it reports them (LRS). */
export interface XdsLoad {
  readonly cluster: string;
  readonly calls: number;
  readonly errors: number;
  /** Calls that it did not make, by a limit of its own. */
  readonly dropped: number;
  readonly inFlight: number;
  /** Control plane's monotonic ms. */
  readonly measuredMs: number;
}

/** A refusal has the text of a data plane. */
const MAX_LINE = 8_000;
/** Reported by one node. */
const MAX_CLUSTERS = 10_000;
