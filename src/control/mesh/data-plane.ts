/** What stands in the way of calls and enforces resources: a process of weft's, an Envoy or a gRPC client, as the control plane sees it now. */
export interface DataPlaneState {
  /** Unique to its run: "gateway/4711/k3f9"; of others the id of their node. */
  readonly process: string;
  readonly kind: DataPlaneKind;
  /** The service that it is, or stands beside; "" for none. */
  readonly service: string;
  /** The machine it runs on, "" when it is not known. */
  readonly node: string;
  /** For people: "weftmesh 0.1.0", "envoy 1.40.0". */
  readonly version: string;
  readonly address: string;
  /** Milliseconds since the Unix epoch. */
  readonly attachedMs: number;
  /** Revision that it was sent last, and the newest that it said is in force; 0 for none. */
  readonly sent: number;
  readonly acknowledged: number;
  /** Revision that a probe found to decide calls, and when (ms since the Unix epoch); 0 before the first. */
  readonly enforced: number;
  readonly probedMs: number;
  /** What it could not bring into force and has not made good since, newest first. */
  readonly refusals: readonly PlaneRefusal[];
  /** Finds out anew what it enforces. Resolves within `timeoutMs`, whether there was an answer or not. */
  probe(timeoutMs: number): Promise<void>;
}

export type DataPlaneKind = "gateway" | "service" | "sidecar" | "envoy" | "grpc";

export interface PlaneRefusal {
  readonly revision: number;
  /** What of the revision, as the data plane names it; "" for the whole. */
  readonly resource: string;
  readonly reason: string;
}

export type DataPlaneSource = () => Iterable<DataPlaneState>;
