import type { Endpoint } from "../core/endpoint.ts";
import type { Random } from "../core/random.ts";
import type { Call, CallRequest } from "./call.ts";
import type { DecisionJournal } from "./decision/journal.ts";
import type { Resource } from "./resource/resources.ts";

/**
 * What outlives a call: the current snapshot and the state that its rules read and write (balancer statistics, breakers, limiters,
 * retry budgets), kept across snapshots for whatever survives them. One for each process (or test). Made by createPolicyRuntime.
 */
export interface PolicyRuntime {
  /** Replaces resources and methods as a whole. Throws WeftError("invalid_argument") with every problem, and keeps the old one. */
  applyResources(revision: number, resources: readonly Resource[], methods: readonly MethodInfo[]): void;
  /** Applies an endpoint delta; statistics of endpoints that stay are kept. Cost is proportional to the delta. */
  applyEndpoints(delta: {
    endpointVersion: number;
    full: boolean;
    changed: readonly Endpoint[];
    removed: readonly { id: string; service: string }[];
  }): void;
  readonly revision: number;
  readonly endpointVersion: number;
  /** A fresh (or reused) machine for one call. */
  createCall(): Call;
  /** Gives an ended call's machine back for reuse; its decision must have been read. */
  release(call: Call): void;
  /** Services to which the explicit route that matches this request may send it; empty when no explicit route matches. For a gateway that has to
   * know whether a REST request goes to the service whose contract describes it. */
  backendsOf(request: CallRequest): readonly string[];
  /** Endpoints of a service as the balancer sees them, for `weft explain`, dashboards and tests. */
  describe(service: string): readonly EndpointState[];
  /** What is remembered of calls that have ended, for `weft explain`; null when nothing is. */
  readonly journal?: DecisionJournal | null;
}

export interface PolicyRuntimeOptions {
  random: Random;
  /** How many decisions keep their full text: "failed" (default) calls only, "all", or "none". Timings and attempts are always kept. */
  record?: "failed" | "all" | "none";
  /** Takes the decision of every call that has ended. Default: none. */
  journal?: DecisionJournal | null;
}

/** What a contract says about one method. */
export interface MethodInfo {
  /** "/counter.v1.Counter/Count" */
  readonly path: string;
  /** Registry name of the service that serves it: "counter". */
  readonly service: string;
  readonly idempotent: boolean;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

export interface EndpointState {
  readonly endpoint: Endpoint;
  readonly inFlight: number;
  readonly ewmaMs: number;
  readonly breaker: "closed" | "open" | "half-open";
  readonly ejected: boolean;
}
