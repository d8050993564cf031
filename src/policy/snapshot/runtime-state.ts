import type { Random } from "../../core/random.ts";
import type { EndpointTable } from "../balance/endpoint-table.ts";
import type { EdgeCounts } from "../decision/edge-counts.ts";
import type { Binding, Snapshot } from "./snapshot.ts";

/** What all calls of a process share. Machines read it and write the statistics in it; create-runtime.ts replaces the snapshot. */
export interface RuntimeState {
  readonly table: EndpointTable;
  readonly random: Random;
  readonly record: "failed" | "all" | "none";
  snapshot: Snapshot;
  /** Of the resources in force; it may run ahead of the snapshot's, where newer ones say nothing new. */
  revision: number;
  endpointVersion: number;
  /** Calls by backend. */
  readonly edges: EdgeCounts;
  /** The application beside a sidecar, to which calls at place "server" go on once their gates let them pass; null: they are accepted here. */
  local: Binding | null;
  /** Epoch ms of 0 on the clock of events: what turns `now` into wall time, for what expires by the calendar. */
  wallAt: number;
}
