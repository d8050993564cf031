import type { DescService } from "@bufbuild/protobuf";
import { parseCallerAttempt } from "../call/caller-attempt.ts";
import type { Client } from "../call/client-types.ts";
import { contractMethods } from "../contract/contract-set.ts";
import { messageField } from "../contract/message-field.ts";
import type { Endpoint, Health } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";
import type { CallContext, Decision, Place } from "../policy/call.ts";
import { type CallDecision, copyDecision } from "../policy/decision/decision.ts";
import type { SharedLimitRequest } from "../policy/limit/shared-limit.ts";
import type { Query } from "../policy/machine/query.ts";
import { ResourceDocument } from "../policy/resource/resource-document.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { parseResources } from "../policy/resource/validate.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import type { AnyServiceDefinition } from "../service/definition.ts";
import type { SimAttempt } from "./attempt.ts";
import { BusyProcesses } from "./busy.ts";
import { type CallWorld, CarriedCall } from "./carried-call.ts";
import { Chaos } from "./chaos.ts";
import { type Coverage, CoverageRecorder } from "./coverage.ts";
import { EventQueue } from "./event-queue.ts";
import { beginFault } from "./faults.ts";
import { SimFleet } from "./fleet.ts";
import { createMeshClient, createServingScope, serveDefinition } from "./handlers.ts";
import { LoadRun } from "./load.ts";
import { Onward } from "./onward.ts";
import { SimProcess } from "./process.ts";
import { Pump } from "./pump.ts";
import type { Replica, Serve } from "./replica.ts";
import { createRequest, type SimRequest } from "./request.ts";
import { Result } from "./result.ts";
import { SimulatedSecurity } from "./security.ts";
import { Seeds } from "./seeds.ts";
import { gateAttempt, mayGate } from "./server-gates.ts";
import { Topology } from "./topology.ts";
import { Transcoder } from "./transcoder.ts";
import type {
  CallOptions,
  ChaosHandle,
  ChaosOptions,
  DecisionFilter,
  Endpoints,
  Fault,
  FaultHandle,
  LoadOptions,
  LoadReport,
  ProcessLoad,
  QueryAnswer,
  RequestSpec,
  ResourceInput,
  ServiceModel,
  SimulatedCall,
  SimulatedSystem,
  SimulateOptions,
  World,
} from "./types.ts";

/** The world behind `simulate`: what its parts (servers, processes, calls on their way) share. */
export class SimWorld implements World, CallWorld {
  readonly events = new EventQueue();
  readonly seeds: Seeds;
  readonly pump: Pump;
  readonly topology: Topology;
  readonly #place: Place;
  readonly #zone: string;
  readonly #scope = createServingScope();
  readonly #processes = new Map<string, SimProcess>();
  readonly #answers = new Map<string, QueryAnswer>();
  readonly #security: SimulatedSecurity;
  readonly #fleet: SimFleet;
  readonly #busy = new BusyProcesses(this.events);
  readonly #methods: MethodInfo[];
  readonly #transcoder: Transcoder;
  readonly #decisions: Decision[] = [];
  /** Of resources that were read from a file. */
  readonly #documents = new Map<Resource, ResourceDocument>();
  readonly #coverage = new CoverageRecorder();
  #resources: readonly Resource[];
  /** Some resource might hold at servers. */
  #gated = false;
  readonly #name: string;
  #revision = 1;
  #endpointVersion = 1;
  #calls = 0;
  #chaos = 0;

  constructor(system: SimulatedSystem, options: SimulateOptions) {
    this.seeds = new Seeds(options.seed ?? 1);
    this.pump = new Pump(this.events);
    this.#place = options.place ?? "gateway";
    this.#security = new SimulatedSecurity(this.events, this.pump, options);
    this.#fleet = new SimFleet(this.events, () => this.#processes.values());
    this.#zone = options.zone ?? "";
    const { name = "shop", routes = [], policies = [], resources = [] } = system;
    this.#name = name;
    this.#resources = this.#resourcesOf([...routes, ...policies, ...resources]);
    this.#methods = [...(system.methods ?? [])];
    this.topology = new Topology(this.events, this.seeds, (service, model) => this.#serveOf(service, model));
    const contracts: [string, DescService][] = [];
    for (const [service, described] of Object.entries(system.services)) {
      const given: ServiceModel = { ...described, ...options.services?.[service] };
      const definition = typeof given.definition === "function" ? given.definition(this) : given.definition;
      const model: ServiceModel = definition === undefined ? given : { ...given, definition };
      const desc = definition === undefined ? given.contract : (definition.desc as DescService);
      if (desc !== undefined) {
        contracts.push([service, desc]);
        for (const { path, idempotent, clientStreaming, serverStreaming } of contractMethods(desc))
          this.#methods.push({ path, service, idempotent, clientStreaming, serverStreaming });
      }
      this.topology.addService(service, model);
    }
    for (const service of Object.keys(options.services ?? {})) this.topology.model(service); // throws for a name that nobody has
    this.#transcoder = new Transcoder(contracts);
    this.topology.onChange = (changed, removed) => this.#endpointsChanged(changed, removed);
    this.process(this.#place, this.#place); // so that what is wrong with the resources is told now
  }

  get now(): number {
    return this.events.now();
  }

  get wallMs(): number {
    return this.events.wallMs();
  }

  // --- calls --------------------------------------------------------------------------------------------------

  call(request: string | RequestSpec, options: CallOptions = {}): Promise<SimulatedCall> {
    return this.pump.wait<SimulatedCall>((done) => {
      const call = this.start(createRequest(request, options), undefined, (carried, decision) => {
        const copy = copyDecision(decision);
        this.keep(copy);
        done(new Result(carried, copy));
      });
      call.begin();
    });
  }

  load(request: string | RequestSpec | readonly (string | RequestSpec)[], options: LoadOptions): Promise<LoadReport> {
    const requests = (Array.isArray(request) ? request : [request]) as readonly (string | RequestSpec)[];
    const made = requests.map((each) => createRequest(each, options.with));
    return this.pump.wait<LoadReport>((done) => new LoadRun(this, made, options, done).start());
  }

  connect<S extends DescService>(desc: S, options: { service?: string; from?: string } = {}): Client<S> {
    // Looked up with the first call: the service may come after the one whose handlers want its client.
    const service = (): string => options.service ?? this.#serviceOf(desc);
    return createMeshClient(desc, service, this.#scope, (request, serving, callOptions) => {
      const now = this.events.now();
      const { timeoutMs = Number.POSITIVE_INFINITY, signal } = callOptions;
      const run = (done: (call: CarriedCall) => void): void => {
        const deadline = Math.min(now + timeoutMs, serving?.deadline ?? Number.POSITIVE_INFINITY);
        const from = {
          place: "client" as const,
          name: serving?.replica.id ?? options.from ?? "client",
          deadline,
          callerAttempt: serving?.callerAttempt ?? 0,
        };
        const call = this.start(request, from, (carried, decision) => {
          this.keep(copyDecision(decision));
          done(carried);
        });
        for (const gone of [signal, serving?.signal])
          gone?.addEventListener("abort", () => call.cancel(), { once: true });
        call.begin();
      };
      // A handler's call moves nothing by itself: its own caller is waited for.
      return serving === undefined ? this.pump.wait(run) : new Promise((resolve) => run(resolve));
    });
  }

  #serviceOf({ typeName }: DescService): string {
    const method = this.#methods.find(({ path }) => path.startsWith(`/${typeName}/`));
    if (method !== undefined) return method.service;
    throw new WeftError("not_found", `no service of this system has the contract ${typeName}`, {
      reason: "UNKNOWN_CONTRACT",
    });
  }

  /** Makes a call that has not begun. Internal to testing/. */
  start(
    request: SimRequest,
    caller: Caller | undefined,
    onEnd: (call: CarriedCall, decision: Decision) => void,
  ): CarriedCall {
    const { spec } = request;
    const place = caller?.place ?? spec.place ?? this.#place;
    const process = this.process(caller?.name ?? spec.from ?? place, place);
    this.#busy.measure(process);
    const sent = place === "gateway" ? this.#transcoder.transcode(request, process.policy) : request;
    const context: CallContext = {
      place,
      service: sent.service,
      asSent: sent.asSent,
      peerAddress: spec.peerAddress ?? "10.255.0.1:40000",
      peerIdentity: spec.peerIdentity ?? "",
      secure: spec.secure ?? (spec.peerIdentity ?? "") !== "",
      deadline: caller?.deadline ?? this.now + (spec.deadlineMs ?? Number.POSITIVE_INFINITY),
      callerAttempt: caller?.callerAttempt ?? 0,
      ...(place === "client" &&
        sent.message !== null && { messageField: (path: string) => messageField(sent.message, path) }),
      requestId: `call-${++this.#calls}`,
    };
    const call = new CarriedCall(this, process, sent, context, onEnd);
    this.#fleet.called();
    if (spec.cancelAfterMs !== undefined) this.events.after(spec.cancelAfterMs, () => call.cancel());
    return call;
  }

  keep(decision: Decision): void {
    this.#decisions.push(decision);
    if (this.#decisions.length > MAX_DECISIONS * 2) this.#decisions.splice(0, MAX_DECISIONS);
  }

  decisions({ service, route, reason, place }: DecisionFilter = {}): readonly Decision[] {
    return this.#decisions
      .slice(-MAX_DECISIONS)
      .filter(
        (decision) =>
          (service === undefined || decision.service === service) &&
          (route === undefined || decision.route === route) &&
          (reason === undefined || decision.outcome.reason === reason) &&
          (place === undefined || decision.place === place),
      );
  }

  // --- what happens to the world ------------------------------------------------------------------------------

  fault(target: string, fault: Fault): FaultHandle {
    return beginFault(this.topology.find(target), fault, this.events);
  }

  busy(process: string, load: ProcessLoad): FaultHandle {
    const named = PLACES.has(process) || [...this.#processes.values()].some(({ name }) => name === process);
    return this.#busy.begin(named ? [process] : this.topology.find(process).map(({ id }) => id), load);
  }

  measure(process: SimProcess): void {
    this.#busy.measure(process);
  }

  chaos(options: ChaosOptions): ChaosHandle {
    return new Chaos(this, options, this.#chaos++);
  }

  advance(ms: number): Promise<void> {
    return this.pump.wait<void>((done) => void this.events.after(ms, done));
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.events.after(ms, resolve));
  }

  answer(kind: string, answer: QueryAnswer): void {
    this.#answers.set(kind, answer);
  }

  endpoints(service: string): Endpoints {
    this.topology.model(service); // throws for a name that nobody has
    const one = (target: string): Replica => {
      const found = this.topology.find(target.startsWith("#") ? service + target : target);
      return found[0];
    };
    return {
      list: () => this.topology.find(service).map(({ id }) => id),
      describe: (from = this.#place) =>
        this.process(from, this.#place)
          .policy.describe(service, this.now)
          .map(({ endpoint: { id, health }, inFlight, ewmaMs, breaker, ejected }) => {
            return { id, health, inFlight, ewmaMs, breaker, ejected };
          }),
      add: (model = {}) => this.topology.add(service, model).id,
      remove: (target) => this.topology.remove(one(target)),
      health: (target, health: Health) => this.topology.setHealth(one(target), health),
    };
  }

  apply(resources: readonly ResourceInput[]): void {
    const all = this.#resourcesOf(resources);
    this.#revision++;
    for (const { policy } of this.#processes.values()) policy.applyResources(this.#revision, all, this.#methods);
    this.#resources = all;
  }

  coverage(): Coverage {
    return this.#coverage.report(this.#resources, this.#documents);
  }

  // --- for its parts ------------------------------------------------------------------------------------------

  replicaOf(endpointId: string): Replica | null {
    return this.topology.replica(endpointId);
  }

  gate(attempt: SimAttempt, replica: Replica): boolean {
    return this.#gated && gateAttempt(this, this.#name, attempt, replica);
  }

  ended(decision: Decision): void {
    this.#coverage.record(decision as CallDecision);
  }

  ask(query: Query): unknown {
    const given = this.#answers.get(query.kind);
    if (given === undefined) {
      if (query.kind === "shared-limit") return this.#fleet.take(query.about as SharedLimitRequest);
      return this.#security.answer(query);
    }
    const answer = given(query) ?? null;
    if (!(answer instanceof Promise)) return answer;
    this.pump.atWork++;
    return answer.finally(() => this.pump.atWork--);
  }

  /** Those that there are by now. Internal to testing/. */
  processes(): Iterable<SimProcess> {
    return this.#processes.values();
  }

  /** One that decides about calls, made when it is first named. */
  process(name: string, place: Place): SimProcess {
    const key = `${place} ${name}`;
    let process = this.#processes.get(key);
    if (process === undefined) {
      const own = [...this.topology.all()].find(({ endpoint }) => endpoint.id === name)?.endpoint;
      const random = this.seeds.of(`policy ${key}`);
      process = new SimProcess(name, place, random, own?.zone ?? this.#zone, own?.service ?? "");
      process.policy.applyResources(this.#revision, this.#resources, this.#methods);
      const changed = [...this.topology.all()].map(({ endpoint }) => endpoint);
      process.policy.applyEndpoints({ endpointVersion: this.#endpointVersion, full: true, changed, removed: [] });
      this.#processes.set(key, process);
    }
    return process;
  }

  #resourcesOf(inputs: readonly ResourceInput[]): Resource[] {
    this.#documents.clear();
    this.#gated = false;
    const documents = inputs.flatMap((input): readonly (Resource | ResourceDocument)[] =>
      "resources" in input ? input.resources() : [input],
    );
    const { resources } = parseResources(documents);
    resources.forEach((resource, i) => {
      const document = documents[i];
      if (document instanceof ResourceDocument) this.#documents.set(resource, document);
      if (mayGate(resource)) this.#gated = true;
    });
    return [...resources];
  }

  #endpointsChanged(changed: readonly Endpoint[], removed: readonly Endpoint[]): void {
    const endpointVersion = ++this.#endpointVersion;
    for (const { policy } of this.#processes.values())
      policy.applyEndpoints({ endpointVersion, full: false, changed, removed });
  }

  #serveOf(_service: string, model: ServiceModel): Serve | null {
    const { calls, definition } = model;
    const handle: Serve | null =
      definition === undefined
        ? null
        : serveDefinition(definition as AnyServiceDefinition, this.events, this.pump, this.#scope);
    if (calls === undefined || calls.length === 0) return handle;
    const then: Serve = handle ?? ((attempt, replica) => replica.answerAsModelled(attempt));
    return (attempt, replica) =>
      new Onward(
        attempt,
        replica,
        (from, at, to, ended) => this.#callOn(from, at, to, ended),
        () => then(attempt, replica),
      ).start();
  }

  #callOn(
    attempt: SimAttempt,
    replica: Replica,
    { service, request }: { service: string; request: string },
    ended: (status: number, grpcStatus: number) => void,
  ): CarriedCall {
    this.topology.model(service);
    const deadline = attempt.call.request.grpc ? this.now + attempt.timeoutMs : Number.POSITIVE_INFINITY;
    const callerAttempt = parseCallerAttempt(attempt.head);
    const from: Caller = { place: "client", name: replica.id, deadline, callerAttempt };
    return this.start(createRequest(request, { service }), from, ({ status }, { outcome }) =>
      ended(status, outcome.grpcStatus),
    );
  }
}

interface Caller {
  readonly place: Place;
  readonly name: string;
  /** Absolute. */
  readonly deadline: number;
  readonly callerAttempt: number;
}

const MAX_DECISIONS = 10_000;
const PLACES: ReadonlySet<string> = new Set<Place>(["gateway", "client", "sidecar"]);
