import type { Endpoint } from "../core/endpoint.ts";
import type { MutualTls } from "../core/identity.ts";
import type { Random } from "../core/random.ts";
import type { CacheStore } from "./cache/cache-store.ts";
import type { Call, CallContext, CallRequest } from "./call.ts";
import type { EdgeCounts } from "./decision/edge-counts.ts";
import type { DecisionJournal } from "./decision/journal.ts";
import type { ActiveFaults } from "./fault/active-faults.ts";
import type { LimitCounts } from "./limit/limiter.ts";
import type { ObjectiveStatus } from "./objective/objective-state.ts";
import type { CallRecorder } from "./replay/call-recorder.ts";
import type { PolicyStats } from "./resilience/policy-stats.ts";
import type { QuorumBreaker } from "./resilience/quorum-breaker.ts";
import type { Resource } from "./resource/resources.ts";
import type { Tally } from "./security/tallies.ts";
import type { LocalApplication } from "./snapshot/local-binding.ts";
import type { ProcessState } from "./snapshot/process-state.ts";

/**
 * What outlives a call: the current snapshot and the state that its rules read and write (balancer statistics, breakers, limiters,
 * retry budgets), kept across snapshots for whatever survives them. One for each process (or test). Made by createPolicyRuntime.
 */
export interface PolicyRuntime {
  /** Replaces resources and methods as a whole. Throws WeftError("invalid_argument") with every problem, and keeps the old one. */
  applyResources(revision: number, resources: readonly Resource[], methods: readonly MethodInfo[]): void;
  /** The resources in force are those of this revision, too: nothing is compiled again. */
  advanceRevision(revision: number): void;
  /** Applies an endpoint delta; statistics of endpoints that stay are kept. Cost is proportional to the delta. */
  applyEndpoints(delta: {
    endpointVersion: number;
    full: boolean;
    changed: readonly Endpoint[];
    removed: readonly { id: string; service: string }[];
  }): void;
  /** For a sidecar: calls at place "server" go on to this application, once their gates let them pass, instead of being accepted. Another replaces it. */
  forwardTo(application: LocalApplication): void;
  readonly revision: number;
  readonly endpointVersion: number;
  /** Whether some resource in force looks at fields of request messages. */
  readonly readsMessages: boolean;
  /** Breakers that the fleet decides, as far as calls have needed them, for the line to the control plane. */
  quorumBreakers(): Iterable<QuorumBreaker>;
  /** Whether calls have needed a limit that the whole system shares. */
  readonly sharesLimits: boolean;
  /** A fresh (or reused) machine for one call. */
  createCall(): Call;
  /** Gives an ended call's machine back for reuse; its decision must have been read. */
  release(call: Call): void;
  /** Services to which the explicit route that matches this request may send it; empty when no explicit route matches. For a gateway that has to
   * know whether a REST request goes to the service whose contract describes it. */
  backendsOf(request: CallRequest): readonly string[];
  /** Whether there are endpoints or routes of a service (also by a contract's name), healthy or not. */
  knows(service: string): boolean;
  /** How a service takes calls (TrafficPolicy.mtls). Not for each call: for connections. */
  mutualTls(service: string): MutualTls;
  /** Endpoints of a service as the balancer sees them at `now`, for `weft explain`, dashboards and tests. */
  describe(service: string, now: number): readonly EndpointState[];
  /** What retries, hedges, breakers, outlier detection and fallbacks did, by service, for metrics. */
  stats(): Iterable<PolicyStats>;
  /** Says again what time it is: clocks are set, and machines sleep. `wallAt` as in PolicyRuntimeOptions. */
  setWallAt(wallAt: number): void;
  /** What authentication and authorization did, for metrics. */
  securityTallies(): { readonly authentications: Iterable<Tally>; readonly authorizations: Iterable<Tally> };
  /** What policy knows of the process that it decides in: its load, who else enforces the same limits, reasons to shed. Shells write it. */
  readonly process: ProcessState;
  /** Changes with every applyResources. */
  readonly generation: number;
  /** Whether such a call would have to pass gates. At "server" nothing else is decided, so that a call without any needs no machine. */
  hasGates(request: CallRequest, context: Pick<CallContext, "asSent" | "service" | "place">): boolean;
  /** How often rate limits decided which way, by name. */
  limitCounts(): readonly { readonly name: string; readonly counts: Readonly<LimitCounts> }[];
  /** From now on calls are recorded, all that begin from now on; null: no more. */
  record(recorder: CallRecorder | null): void;
  /** What faults were injected, by the policy that says so. */
  faults(): Iterable<readonly [policy: string, faults: ActiveFaults]>;
  /** How objectives do, as far as this process has seen their calls. */
  objectives(now: number): readonly ObjectiveStatus[];
  /** The caches of this process by the policy that they belong to, for metrics and dashboards. */
  caches(): Iterable<readonly [policy: string, state: CacheStore]>;
  /** Calls that were made or passed on, by backend. Raw connections that no call machine decides are counted by who carries them. */
  readonly edges: EdgeCounts;
  /** What is remembered of calls that have ended, for `weft explain`; null when nothing is. */
  readonly journal: DecisionJournal | null;
}

export interface PolicyRuntimeOptions {
  random: Random;
  /** Where this process runs, for balancers that go by zones; default "" (unknown). */
  zone?: string;
  /** The service that this process is, whose endpoints' zones say where such callers are; default "" (none). */
  service?: string;
  /** Epoch ms of 0 on the clock in which events are told. Default: of the system's clock. */
  wallAt?: number;
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

export interface EndpointLoad {
  /** Calls that it serves, of all callers. */
  readonly inFlight: number;
  readonly latencyMs: number;
  readonly callsPerSecond: number;
  /** 0..1: what the application says, or else the larger of CPU and event loop. */
  readonly utilization: number;
  readonly memory: number;
}

export interface EndpointState {
  readonly endpoint: Endpoint;
  readonly inFlight: number;
  readonly ewmaMs: number;
  readonly breaker: "closed" | "open" | "half-open";
  readonly ejected: boolean;
  /** What it last reported of its load, -1 for what it did not say; null when it never did (docs/policies/load-reports.md). */
  readonly load: EndpointLoad | null;
}
