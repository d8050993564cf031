import { systemClock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import type { MutualTls } from "../../core/identity.ts";
import { systemRandom } from "../../core/random.ts";
import { EndpointTable } from "../balance/endpoint-table.ts";
import type { CacheStore } from "../cache/cache-store.ts";
import type { Call, CallContext, CallRequest } from "../call.ts";
import { EdgeCounts } from "../decision/edge-counts.ts";
import type { DecisionJournal } from "../decision/journal.ts";
import type { ActiveFaults } from "../fault/active-faults.ts";
import { CallMachine } from "../machine/call-machine.ts";
import type { ObjectiveStatus } from "../objective/objective-state.ts";
import type { CallRecorder } from "../replay/call-recorder.ts";
import { RecordingMachine } from "../replay/recording-machine.ts";
import type { PolicyStats } from "../resilience/policy-stats.ts";
import type { QuorumBreaker } from "../resilience/quorum-breaker.ts";
import type { Resource } from "../resource/resources.ts";
import { parseResources } from "../resource/validate.ts";
import type { EndpointState, MethodInfo, PolicyRuntime, PolicyRuntimeOptions } from "../runtime.ts";
import { type LocalApplication, localBinding, localEndpoint } from "./local-binding.ts";
import type { ProcessState } from "./process-state.ts";
import type { RuntimeState } from "./runtime-state.ts";
import { Snapshot } from "./snapshot.ts";
import { StateKeeper } from "./state-keeper.ts";

/** Makes a process's policy: without resources every service is reached by its name and contract, under the default policy. */
export function createPolicyRuntime(options: Partial<PolicyRuntimeOptions> = {}): PolicyRuntime {
  return new Runtime(options);
}

class Runtime implements PolicyRuntime {
  readonly #keeper = new StateKeeper();
  readonly #state: RuntimeState;
  readonly #free: CallMachine[] = [];
  generation = 0;

  readonly journal: DecisionJournal | null;
  #recorder: CallRecorder | null = null;
  /** As they came, for whoever begins to record. */
  #resources: readonly Resource[] = [];
  #methods: readonly MethodInfo[] = [];
  /** Resources never change: those of the last set that come again need not be looked at again. */
  readonly #checked = new WeakSet<object>();
  #local: Endpoint | null = null;

  constructor({
    random = systemRandom,
    record = "failed",
    journal = null,
    wallAt,
    zone = "",
    service = "",
  }: Partial<PolicyRuntimeOptions>) {
    this.journal = journal;
    const table = new EndpointTable();
    table.local.zone = zone;
    table.local.service = service;
    const snapshot = new Snapshot(0, [], [], table, this.#keeper);
    this.#state = {
      table,
      random,
      record,
      snapshot,
      revision: 0,
      edges: new EdgeCounts(),
      endpointVersion: 0,
      local: null,
      wallAt: wallAt ?? systemClock.wallMs() - systemClock.now(),
    };
  }

  setWallAt(wallAt: number): void {
    this.#state.wallAt = wallAt;
  }

  securityTallies() {
    const { authentications, authorizations } = this.#keeper;
    return { authentications, authorizations };
  }

  faults(): Iterable<readonly [string, ActiveFaults]> {
    return this.#keeper.faultStates();
  }

  objectives(now: number): readonly ObjectiveStatus[] {
    return Array.from(this.#keeper.objectives(), (state) => state.describe(now));
  }

  caches(): Iterable<readonly [string, CacheStore]> {
    return this.#keeper.caches.states();
  }

  get revision(): number {
    return this.#state.revision;
  }

  get readsMessages(): boolean {
    return this.#state.snapshot.readsMessages;
  }

  get endpointVersion(): number {
    return this.#state.endpointVersion;
  }

  applyResources(revision: number, resources: readonly Resource[], methods: readonly MethodInfo[]): void {
    const checked = parseResources(resources, { checked: this.#checked }).resources;
    for (const resource of checked) this.#checked.add(resource);
    this.journal?.settle();
    this.#state.snapshot = new Snapshot(revision, checked, methods, this.#state.table, this.#keeper);
    this.#state.revision = revision;
    this.#keeper.keepOf(checked);
    this.#resources = checked;
    this.#methods = methods;
    this.#recorder?.resources(revision, checked, methods);
    this.generation++;
  }

  advanceRevision(revision: number): void {
    this.#state.revision = revision;
    this.#recorder?.resources(revision, this.#resources, this.#methods);
  }

  get edges(): EdgeCounts {
    return this.#state.edges;
  }

  applyEndpoints(delta: {
    endpointVersion: number;
    full: boolean;
    changed: readonly Endpoint[];
    removed: readonly { id: string; service: string }[];
  }): void {
    const { full, changed, removed } = delta;
    this.#state.table.apply(full, full && this.#local !== null ? [...changed, this.#local] : changed, removed);
    this.#state.endpointVersion = delta.endpointVersion;
    this.#recorder?.endpoints(delta);
  }

  forwardTo(application: LocalApplication): void {
    const { table } = this.#state;
    this.#local = localEndpoint(application);
    table.apply(false, [this.#local], []);
    this.#state.local ??= localBinding(table, this.#keeper);
  }

  get sharesLimits(): boolean {
    for (const { shared } of this.#keeper.limiters()) if (shared) return true;
    return false;
  }

  quorumBreakers(): Iterable<QuorumBreaker> {
    return this.#keeper.quorumBreakers();
  }

  createCall(): Call {
    const recorder = this.#recorder;
    if (recorder?.wants()) return new RecordingMachine(this.#state, recorder);
    return this.#free.pop() ?? new CallMachine(this.#state);
  }

  record(recorder: CallRecorder | null): void {
    this.#recorder = recorder;
    recorder?.begin({
      read: () => ({
        revision: this.revision,
        resources: this.#resources,
        methods: this.#methods,
        endpointVersion: this.endpointVersion,
        endpoints: this.#state.table.endpoints.filter((endpoint) => endpoint !== null),
      }),
    });
  }

  release(call: Call): void {
    if (!(call instanceof CallMachine) || !call.ended) return;
    if (call instanceof RecordingMachine) {
      call.writeDown();
      if (this.journal !== null) call.remember(this.journal);
      return; // it is used once
    }
    if (this.journal !== null) call.remember(this.journal);
    if (this.#free.length >= MAX_FREE) return;
    call.reset();
    this.#free.push(call);
  }

  get process(): ProcessState {
    return this.#keeper.process;
  }

  hasGates(
    request: CallRequest,
    { asSent, service, place }: Pick<CallContext, "asSent" | "service" | "place">,
  ): boolean {
    const match = this.#state.snapshot.match(request, asSent, service, place);
    return match !== null && match.plan.gates.length > 0;
  }

  limitCounts() {
    return Array.from(this.#keeper.limiters(), ({ name, counts }) => ({ name, counts }));
  }

  knows(service: string): boolean {
    return this.#state.snapshot.knows(service);
  }

  mutualTls(service: string): MutualTls {
    // The application beside a sidecar has no identity of its own, whatever the system asks of services.
    return service === this.#local?.service ? "off" : this.#state.snapshot.mutualTls(service);
  }

  backendsOf(request: CallRequest): readonly string[] {
    return this.#state.snapshot.backendsOf(request);
  }

  stats(): Iterable<PolicyStats> {
    return this.#keeper.stats();
  }

  describe(service: string, now: number): readonly EndpointState[] {
    const { table } = this.#state;
    const states: EndpointState[] = [];
    for (const slot of table.slotsOf(service)) {
      const endpoint = table.endpoints[slot];
      if (endpoint === null) continue;
      states.push({
        endpoint,
        inFlight: table.inFlight[slot],
        ewmaMs: table.ewmaMs[slot],
        breaker: this.#worstBreaker(endpoint),
        ejected: table.ejections[slot] > 0 || table.outlierUntil[slot] > now,
        load: table.loads?.of(slot) ?? null,
      });
    }
    return states;
  }

  #worstBreaker({ service, version }: Endpoint): EndpointState["breaker"] {
    let worst: EndpointState["breaker"] = "closed";
    for (const group of version === "" ? [service] : [service, `${service}@${version}`]) {
      for (const { state } of this.#keeper.breakersOf(group)) {
        if (state === "open") return "open";
        if (state === "half-open") worst = "half-open";
      }
    }
    return worst;
  }
}

/** Machines kept for reuse. */
const MAX_FREE = 4_096;
