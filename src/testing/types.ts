import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "../call/client-types.ts";
import type { Decision, Place } from "../policy/call.ts";
import type { ResourceDocument } from "../policy/resource/resource-document.ts";
import type { Resource } from "../policy/resource/resources.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import type { AnyServiceDefinition } from "../service/definition.ts";
import type { Coverage } from "./coverage.ts";
import type { LatencyModel } from "./latency.ts";

/**
 * A system as a simulation sees it. What `defineSystem` gives is one: services without a model or a definition get the model's defaults.
 */
export interface SimulatedSystem {
  readonly name?: string;
  readonly services: Readonly<Record<string, ServiceModel>>;
  readonly routes?: readonly ResourceInput[];
  readonly policies?: readonly ResourceInput[];
  /** Resources as they are, beside routes and policies: from YAML for example. */
  readonly resources?: readonly ResourceInput[];
  /** What contracts say of methods, for services without a definition or contract. */
  readonly methods?: readonly MethodInfo[];
  readonly gateway?: unknown;
}

/** A resource, a builder that makes some, or what readResources read from a file. */
export type ResourceInput = Resource | { resources(): readonly Resource[] } | ResourceDocument;

/** How a service behaves. All of it may be left out. */
export interface ServiceModel {
  /** Endpoints, named "products-1" and so on. Default 1. */
  readonly replicas?: number;
  /** Time of a call on an idle server. Default 10 ms. */
  readonly latencyMs?: LatencyModel;
  /** Calls that one replica serves at full speed at once. Default: any number. */
  readonly concurrency?: number;
  /** What happens above `concurrency`: further calls wait in "line" (default), or all are served and "share" the processors. */
  readonly above?: "line" | "share";
  /** Calls that may wait (or share) above `concurrency`; further ones are refused. Default: any number. */
  readonly maxWaiting?: number;
  /** Speed of each replica, 1 by default: 0.5 takes twice as long. A list gives each its own, from the first again when it is at its end. */
  readonly speed?: number | readonly number[];
  /** 0..1: share of calls that end with `errorStatus`. Default 0. */
  readonly errorRate?: number;
  /** Default 500, for gRPC the status that belongs to it; above 0 and below 17: a gRPC status. */
  readonly errorStatus?: number;
  /** Time until a connection is there. Default 0: connections are kept. */
  readonly connectMs?: number;
  /** Time to the server and back, beside the call itself. Default 0. */
  readonly networkMs?: number;
  /** Its answers say what load it is under (ORCA's endpoint-load-metrics): calls in flight, their latency, use of `concurrency`. Default false. */
  readonly reportsLoad?: boolean;
  /** A replica whose caller went away does the work nevertheless. Default false. */
  readonly finishesCancelled?: boolean;
  readonly version?: string;
  /** Several versions side by side; what a version leaves out it takes from the service. */
  readonly versions?: Readonly<Record<string, ServiceModel>>;
  /** Zone of the replicas; a list gives each its own, from the first again. */
  readonly zone?: string | readonly string[];
  readonly weight?: number | readonly number[];
  readonly metadata?: Readonly<Record<string, string>>;
  /** Services that it calls, one after the other, once its own work is done; those in an inner list at once. The call fails when one of them does. */
  readonly calls?: readonly (ServiceCall | readonly ServiceCall[])[];
  /** The user's own handlers answer, once the modelled time is over. A function is given the world, for clients of what they call. */
  readonly definition?: AnyServiceDefinition | ((world: World) => AnyServiceDefinition);
  /** Its contract, when there is no definition: what is idempotent, what streams, who serves it. */
  readonly contract?: DescService;
  /** What is answered, when there is no definition. Default: 200 without a body. */
  readonly answer?: (request: ServedRequest) => ModelAnswer;
  // of a system's description, without a meaning here
  readonly run?: unknown;
  readonly needs?: unknown;
}

/** "payments" for any call to it, "GET /rates" or "pay.v1.Payments/Charge" for a certain one. */
export type ServiceCall = string | { readonly service: string; readonly request?: string; readonly optional?: boolean };

/** A request as it arrives at a server. */
export interface ServedRequest {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  /** Lower-case names. */
  readonly fields: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** "products-2" */
  readonly endpoint: string;
}

export interface ModelAnswer {
  /** Default 200. */
  readonly status?: number;
  readonly grpcStatus?: number;
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface SimulateOptions {
  /** Everything random follows from it. Default 1. */
  readonly seed?: number;
  /** Where calls are decided that do not say so themselves. Default "gateway". */
  readonly place?: Place;
  /** Zone of the processes that decide, but for replicas that call on, which are where they are. Default "" (unknown). */
  readonly zone?: string;
  /** Laid over the system's services, by name: models for what is only described by how to run it. */
  readonly services?: Readonly<Record<string, ServiceModel>>;
  /** Where secrets are found that policies name by variable. Default: nowhere; the process's environment is not looked at. */
  readonly env?: Readonly<Record<string, string>>;
  /** Where key sets and login providers are found. Default: nowhere. */
  readonly fetch?: (url: string, init: RequestInit) => Response | Promise<Response>;
}

/**
 * A mesh in virtual time: the real policy over modelled servers. Time stands still until something is waited for: a call, a load, `advance`.
 * The same seed gives the same world, to the last draw.
 */
export interface World {
  /** Virtual ms since the world began. */
  readonly now: number;
  /** The time of day there, ms since the Unix epoch. Worlds begin on 1 January 2026, 0:00 UTC. */
  readonly wallMs: number;
  /** One call, to its end. `request`: "GET /v1/products", "shop.v1.Products/Get" (gRPC), or in full. Calls that are made before one is awaited run at once. */
  call(request: string | RequestSpec, options?: CallOptions): Promise<SimulatedCall>;
  /** Calls at a rate, or from callers in a loop. Ends when all are answered. */
  load(request: string | RequestSpec | readonly (string | RequestSpec)[], options: LoadOptions): Promise<LoadReport>;
  /** What goes wrong: at "products" (all of it), "products@v2", "products#2" (its second endpoint) or an endpoint's id. */
  fault(target: string, fault: Fault): FaultHandle;
  /**
   * How busy a process is, as it measures it itself, for policies that go by that (admission, bbr): "gateway", "client", or what calls say in `from`; or replicas, named
   * as for `fault`. Of several loads at once the highest counts.
   */
  busy(process: string, load: ProcessLoad): FaultHandle;
  /** A typed client through the mesh: in tests as a client of its own, in handlers as the replica that they run on, under the call's deadline. */
  connect<S extends DescService>(desc: S, options?: { service?: string; from?: string }): Client<S>;
  /** Faults drawn from the seed, at endpoint after endpoint, until it is cleared. */
  chaos(options: ChaosOptions): ChaosHandle;
  /** Moves time on. */
  advance(ms: number): Promise<void>;
  /** Waits in virtual time: for handlers and answers. */
  sleep(ms: number): Promise<void>;
  /**
   * Who answers what policy asks the outside: "shared-limit", "external-authorization", "token", ... Without one tokens' signatures and secrets are
   * checked as in production (with the options' `env` and `fetch`), in no time, and nobody answers anything else.
   */
  answer(kind: string, answer: QueryAnswer): void;
  /** The endpoints of a service, to look at and to change. */
  endpoints(service: string): Endpoints;
  /** New resources in place of all that there were, from now on. */
  apply(resources: readonly ResourceInput[]): void;
  /** Which rules of the resources calls have met, and which have done what they are for. */
  coverage(): Coverage;
  /** Decisions that were kept: of every `call`, and of loads as they say; the oldest go when there are more than 10,000. */
  decisions(which?: DecisionFilter): readonly Decision[];
}

export interface RequestSpec {
  readonly method?: string;
  readonly path?: string;
  /** Default "shop". */
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Makes it a gRPC call: "shop.v1.Products/Get". */
  readonly grpcMethod?: string;
  /** The request message, for services with a definition. */
  readonly message?: object;
  /** Whom it is for, when no route says so. */
  readonly service?: string;
  readonly peerAddress?: string;
  readonly peerIdentity?: string;
  readonly secure?: boolean;
  /** The caller's own deadline, ms from now. */
  readonly deadlineMs?: number;
  /** The caller goes away after so long. */
  readonly cancelAfterMs?: number;
  readonly place?: Place;
  /** Which process decides, by a name of your own: each has statistics, breakers and budgets of its own. Default: one for each place. */
  readonly from?: string;
}

/** What may be said beside a request in short form; see RequestSpec. */
export type CallOptions = Omit<RequestSpec, "method" | "path" | "grpcMethod">;

export interface SimulatedCall {
  /** HTTP status; of a gRPC call 200 when the status is in its trailers. */
  readonly status: number;
  /** -1 for what is not gRPC. */
  readonly grpcStatus: number;
  /** weft's word for a failure ("BREAKER_OPEN"), "" for an answer of the service. */
  readonly reason: string;
  readonly ok: boolean;
  readonly durationMs: number;
  readonly attempts: number;
  readonly decision: Decision;
  /** Header and trailer fields of the answer; lower-case names. */
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
  /** The caller's stream was reset instead of being answered. */
  readonly reset: boolean;
  /** The response message, from a definition's handler. */
  readonly message: object | null;
  /** The decision in words, as `weft explain` prints it. */
  explain(): string;
}

export interface LoadOptions {
  /** Calls a second, however long they take; or `callers` that each make one call after the other. */
  readonly perSecond?: number;
  readonly callers?: number;
  readonly forMs: number;
  /** At even distances, or like independent callers' ("poisson", default). */
  readonly arrivals?: "poisson" | "even";
  /** Ms from an answer to the same caller's next call. Default 0. */
  readonly pauseMs?: number;
  /** Calls of the first so many ms are made but not counted. Default 0. */
  readonly warmUpMs?: number;
  /** Which decisions are kept. Default "failed", at most 1,000 of a load. */
  readonly keep?: "none" | "failed" | "all";
  /** What is said of every call, beside the request. */
  readonly with?: CallOptions;
}

export interface LoadReport {
  readonly calls: number;
  readonly succeeded: number;
  /** 0..1 */
  readonly successRate: number;
  /** Latency of all calls, ms. */
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly attempts: number;
  readonly attemptsPerCall: number;
  /** Attempts beyond the first that are no hedges. */
  readonly retries: number;
  readonly hedges: number;
  /** Calls that were answered without an attempt. */
  readonly rejected: number;
  /** "" is answers of the service; "503" and "grpc 14" its failures, words weft's own. */
  readonly byReason: Readonly<Record<string, number>>;
  readonly byEndpoint: Readonly<Record<string, EndpointLoad>>;
  /** Those that were kept of this load. */
  readonly decisions: readonly Decision[];
}

export interface EndpointLoad {
  /** Attempts that it was sent. */
  readonly calls: number;
  /** 0..1, of its service's. */
  readonly share: number;
  /** Most that it had at once, in line or being served. */
  readonly maxInFlight: number;
}

/** All that is given goes wrong together. */
export interface Fault {
  /** Nothing is done for so long (a long garbage collection); what is there waits and goes on afterwards. */
  readonly stallMs?: number;
  /** Calls take this in place of what the model says. */
  readonly latencyMs?: LatencyModel;
  /** Takes so many times as long. */
  readonly slowBy?: number;
  /** Takes so much longer. */
  readonly addMs?: number;
  /** 0..1: share of calls that end with `status`. */
  readonly errorRate?: number;
  /** Default 503. For gRPC calls: the status that belongs to it, unless grpcStatus says. */
  readonly status?: number;
  readonly grpcStatus?: number;
  /** 0..1: share of calls whose connection is lost once the server has done the work. */
  readonly resetRate?: number;
  /** Nothing listens there: connections are refused, and what is under way is lost. */
  readonly down?: boolean;
  /** 0..1: share of calls that are never answered. */
  readonly hangRate?: number;
  /** Ms from now until it begins. Default 0. */
  readonly from?: number;
  /** How long it holds. Default: until it is cleared; `stallMs` for a stall. */
  readonly forMs?: number;
}

/** Load of a process. It changes what policy decides, not how long calls take: that is what faults are for. */
export interface ProcessLoad {
  /** 0..1: utilisation of the event loop. Default 0. */
  readonly eventLoop?: number;
  /** 0..1, of one core. Default 0. */
  readonly cpu?: number;
  /** How late the event loop is. Default 0. */
  readonly loopDelayMs?: number;
  /** Ms from now until it begins. Default 0. */
  readonly from?: number;
  /** How long it holds. Default: until it is cleared. */
  readonly forMs?: number;
}

export interface FaultHandle {
  clear(): void;
}

export interface ChaosOptions {
  /** Mean time from one fault to the next. */
  readonly everyMs: number;
  /** Mean time that one holds. */
  readonly lastingMs: number;
  /** As for `fault`; one endpoint of them at a time. Default: every service. */
  readonly targets?: readonly string[];
  /** Default: all. */
  readonly kinds?: readonly FaultKind[];
}

export type FaultKind = "stall" | "slow" | "error" | "reset" | "hang" | "down";

export interface ChaosHandle extends FaultHandle {
  /** Those that there were by now, to be told when a test fails. */
  readonly faults: readonly DrawnFault[];
}

export interface DrawnFault {
  /** Virtual ms. */
  readonly at: number;
  readonly target: string;
  readonly kind: FaultKind;
  readonly fault: Fault;
}

export interface Endpoints {
  /** Ids. */
  list(): readonly string[];
  /** As the balancer of a process sees them. */
  describe(from?: string): readonly {
    readonly id: string;
    readonly health: string;
    readonly inFlight: number;
    readonly ewmaMs: number;
    readonly breaker: string;
    readonly ejected: boolean;
  }[];
  /** One more, on the service's model (or one that differs from it); returns its id. */
  add(model?: ServiceModel): string;
  /** Takes it out of the registry; what is under way there ends. */
  remove(target: string): void;
  /** What the health check says of it. */
  health(target: string, health: "healthy" | "unhealthy" | "draining"): void;
}

/** Gives the answer, or a promise of it; null when it cannot be had. `{ afterMs, answer }` takes its time. */
export type QueryAnswer = (query: { readonly kind: string; readonly key: string; readonly about: unknown }) => unknown;

export interface DecisionFilter {
  readonly service?: string;
  readonly route?: string;
  readonly reason?: string;
  readonly place?: Place;
}
