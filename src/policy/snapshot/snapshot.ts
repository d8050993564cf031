import type { MutualTls } from "../../core/identity.ts";
import type { EndpointTable } from "../balance/endpoint-table.ts";
import type { Group } from "../balance/group.ts";
import { ASK_FOR_REPORTS } from "../balance/load-report.ts";
import type { CallRequest, Place } from "../call.ts";
import type { Gate } from "../machine/gate.ts";
import { compileGates } from "../machine/gates.ts";
import type { HedgeBudget } from "../resilience/hedge-budget.ts";
import type { LatencyEstimate } from "../resilience/latency-estimate.ts";
import type { OutlierDetector } from "../resilience/outlier.ts";
import type { ServiceCounters } from "../resilience/policy-stats.ts";
import type { CallBreaker } from "../resilience/quorum-breaker.ts";
import type { RetryBudget } from "../resilience/retry-budget.ts";
import { Level } from "../resource/level.ts";
import type { Resource, ResourceKind, RouteKind, SessionRoute } from "../resource/resources.ts";
import { oldestFirst } from "../route/route-entries.ts";
import { entriesByParent } from "../route/route-entries-of.ts";
import { RouteOrder } from "../route/route-order.ts";
import { RouteTable } from "../route/route-table.ts";
import {
  type Backend,
  type BackendChanges,
  backendName,
  implicitRule,
  type Rule,
  type RuleMatch,
} from "../route/rule.ts";
import { SessionRequest } from "../route/session-request.ts";
import { isSessionRoute } from "../route/session-route.ts";
import { type SessionEntry, SessionTable, sessionEntry } from "../route/session-table.ts";
import type { MethodInfo } from "../runtime.ts";
import { type EffectivePolicy, type PolicyLayer, resolvePolicy } from "./effective-policy.ts";
import {
  attachedAtAny,
  indexPolicies,
  layersFor,
  type PolicyIndex,
  type PolicyTarget,
  TargetIndex,
} from "./policy-index.ts";
import type { StateKeeper } from "./state-keeper.ts";

/**
 * Resources and methods compiled together. Immutable in what it says; plans are compiled when the first call needs them and kept.
 *
 *     request -> RouteMatch (explicit route > method's contract > service by name) -> Plan -> Binding of the backend drawn
 */
export class Snapshot {
  readonly revision: number;
  /** Something looks at fields of request messages. */
  readonly readsMessages: boolean;
  /** Explicit rules of the gateway, for `nearest`. */
  readonly rules: readonly Rule[];
  readonly #gateway: RouteTable<RuleMatch>;
  readonly #orders = new Map<RouteTable<RuleMatch>, RouteOrder>();
  readonly #byService = new Map<string, RouteTable<RuleMatch>>();
  readonly #fieldRoutes: boolean;
  readonly #sessions: SessionTable;
  /** By protocol and service: "TCP postgres". */
  readonly #sessionsOf = new Map<string, Rule>();
  readonly #methods = new Map<string, MethodInfo>();
  /** Contract name -> registry name. */
  readonly #contracts = new Map<string, string>();
  readonly #policies: PolicyIndex;
  readonly #mutualTls = new Map<string, MutualTls>();
  /** What gates are made of, by kind. */
  readonly #attached = new Map<ResourceKind, TargetIndex<Resource>>();
  readonly #implicit = new Map<string, RuleMatch>();
  readonly #plans: Readonly<Record<Place, Map<Rule, Map<string, Plan>>>> = {
    client: new Map(),
    sidecar: new Map(),
    gateway: new Map(),
    server: new Map(),
  };
  readonly #table: EndpointTable;
  readonly #keeper: StateKeeper;

  constructor(
    revision: number,
    resources: readonly Resource[],
    methods: readonly MethodInfo[],
    table: EndpointTable,
    keeper: StateKeeper,
  ) {
    this.revision = revision;
    this.readsMessages = readsMessages(resources);
    this.#table = table;
    this.#keeper = keeper;
    for (const method of methods) {
      this.#methods.set(method.path, method);
      this.#contracts.set(contractOf(method.path), method.service);
    }
    this.#policies = indexPolicies(resources);
    const sessions: SessionEntry[] = [];
    for (const resource of oldestFirst(resources)) {
      if (isSessionRoute(resource)) this.#addSessions(resource, sessions);
      else if (resource.kind !== "HTTPRoute" && resource.kind !== "GRPCRoute") this.#attach(resource);
    }
    this.#sessions = new SessionTable(sessions);
    const { gateway, services } = entriesByParent(resources);
    this.#gateway = new RouteTable(gateway);
    this.rules = [...new Set(gateway.map(({ target }) => target.rule))];
    for (const [service, entries] of services) this.#byService.set(service, new RouteTable(entries));
    this.#fieldRoutes = [...this.#byService.values()].some(({ readsFields }) => readsFields);
  }

  /** Endpoints with their statistics, for explanations. */
  get table(): EndpointTable {
    return this.#table;
  }

  /** The gateway's routes as explanations want them. */
  get gatewayOrder(): RouteOrder {
    return this.#orderOf(this.#gateway);
  }

  /** The routes among which a rule stands, for explanations; null for an implicit one. */
  orderWith(rule: Rule): RouteOrder | null {
    if (rule.route === "") return null;
    if (this.gatewayOrder.numbers.has(rule)) return this.gatewayOrder;
    for (const { service } of rule.backends) {
      const table = this.#byService.get(service);
      const order = table === undefined ? null : this.#orderOf(table);
      if (order?.numbers.has(rule)) return order;
    }
    for (const table of this.#byService.values()) {
      const order = this.#orderOf(table);
      if (order.numbers.has(rule)) return order;
    }
    return null;
  }

  #orderOf(table: RouteTable<RuleMatch>): RouteOrder {
    let order = this.#orders.get(table);
    if (order === undefined) this.#orders.set(table, (order = new RouteOrder(table)));
    return order;
  }

  /** Services to which the gateway's explicit route for this request may send it. */
  backendsOf(request: CallRequest): readonly string[] {
    const found = this.#gateway.find(request);
    return found === null ? [] : [...new Set(found.target.rule.backends.map(({ service }) => service))];
  }

  /** Whether anything is known of a service, or of who serves a contract: endpoints, or routes of its own. */
  knows(service: string): boolean {
    const name = this.#contracts.get(service) ?? service;
    if (this.#byService.has(name)) return true;
    for (const _slot of this.#table.slotsOf(name)) return true;
    return false;
  }

  /** How a service takes calls: what is set for it, otherwise for the system. */
  mutualTls(service: string): MutualTls {
    const known = this.#mutualTls.get(service);
    if (known !== undefined) return known;
    const target = { gateway: false, service, version: "", method: "", route: "", rule: "" };
    const { mtls } = resolvePolicy(layersFor(this.#policies, target));
    if (this.#mutualTls.size < MAX_IMPLICIT) this.#mutualTls.set(service, mtls);
    return mtls;
  }

  /** Whether a route of a service asks for header fields: then the same head does not always take the same route, where clients send fields beside it. */
  routesByFields(service: string): boolean {
    if (!this.#fieldRoutes) return false;
    return this.#byService.get(this.#contracts.get(service) ?? service)?.readsFields === true;
  }

  /** What goes for a request; null when no route matches. `service` is "" when the caller does not know it. */
  match(request: CallRequest, asSent: CallRequest | null, service: string, place: Place): RouteMatch | null {
    if (request instanceof SessionRequest) return this.#matchSession(request, service, place);
    let found: RuleMatch | null = null;
    if (place === "gateway") {
      found = (asSent === null ? null : this.#gateway.find(asSent)?.target) ?? null;
      found ??= this.#gateway.find(request)?.target ?? null;
    }
    if (found === null) {
      const name = service === "" ? this.#serviceOf(request.path) : (this.#contracts.get(service) ?? service);
      if (name === "") return null;
      // What is there already is not routed any more.
      if (place !== "server") found = this.#byService.get(name)?.find(request)?.target ?? null;
      found ??= this.#implicitOf(name);
    }
    const method = this.#methods.get(withoutQuery(request.path)) ?? null;
    return {
      plan: this.#plan(found.rule, request.path, method, place),
      prefix: found.prefix,
      cookiePath: found.cookiePath,
    };
  }

  #matchSession(request: SessionRequest, service: string, place: Place): RouteMatch | null {
    let rule = place === "gateway" ? this.#sessions.find(request) : null;
    if (rule === null) {
      if (service === "") return null;
      if (place !== "server") rule = this.#sessionsOf.get(`${request.method} ${service}`) ?? null;
      rule ??= this.#implicitOf(service).rule;
    }
    return { plan: this.#plan(rule, "", null, place), prefix: "", cookiePath: "/" };
  }

  /** Of several for one service the first counts. */
  #addSessions(route: SessionRoute, gateway: SessionEntry[]): void {
    const entry = sessionEntry(route);
    const parents = route.spec.parentRefs ?? [];
    if (parents.length === 0 || parents.some(({ kind }) => kind !== "Service")) gateway.push(entry);
    for (const { kind, name } of parents) {
      const key = `${route.kind.slice(0, 3)} ${name}`;
      if (kind === "Service" && !this.#sessionsOf.has(key)) this.#sessionsOf.set(key, entry.rule);
    }
  }

  #serviceOf(path: string): string {
    return this.#contracts.get(contractOf(path)) ?? "";
  }

  #implicitOf(service: string): RuleMatch {
    let match = this.#implicit.get(service);
    if (match === undefined) {
      if (this.#implicit.size > MAX_IMPLICIT) this.#implicit.clear(); // names come from callers in this process
      match = { rule: implicitRule(service), prefix: "", cookiePath: "/" };
      this.#implicit.set(service, match);
    }
    return match;
  }

  #plan(rule: Rule, path: string, method: MethodInfo | null, place: Place): Plan {
    const name = this.#methodName(path, method);
    const byRule = this.#plans[place];
    let plans = byRule.get(rule);
    if (plans === undefined) {
      if (byRule.size > MAX_IMPLICIT) byRule.clear();
      plans = new Map();
      byRule.set(rule, plans);
    }
    let plan = plans.get(name);
    if (plan === undefined) {
      plan = this.#compile(rule, name, method, place);
      plans.set(name, plan);
    }
    return plan;
  }

  /** As policies name it; "" for a path that no contract and no policy knows. */
  #methodName(path: string, method: MethodInfo | null): string {
    if (method !== null) return method.path.slice(1);
    const name = withoutQuery(path).slice(1);
    if (this.#namesMethod(name)) return name;
    const contract = contractOf(path);
    return contract !== "" && this.#namesMethod(contract) ? contract : "";
  }

  /** Whether anything is attached to a method or contract of this name. */
  #namesMethod(name: string): boolean {
    if (this.#policies.hasMethod(name)) return true;
    for (const index of this.#attached.values()) if (index.hasMethod(name)) return true;
    return false;
  }

  #attach(resource: Exclude<Resource, { kind: RouteKind }>): void {
    if (resource.kind === "TrafficPolicy") return; // indexPolicies
    let index = this.#attached.get(resource.kind);
    if (index === undefined) this.#attached.set(resource.kind, (index = new TargetIndex()));
    index.add(resource.spec.targetRefs, resource);
  }

  #compile(rule: Rule, methodName: string, method: MethodInfo | null, place: Place): Plan {
    const gateway = place === "gateway";
    const target = { gateway, version: "", method: methodName, route: rule.route, rule: rule.name };
    const targets: PolicyTarget[] = rule.backends.map(({ service }) => ({ ...target, service }));
    if (targets.length === 0) targets.push({ ...target, service: "" });
    const bindings = rule.backends.map((backend): Binding => {
      const at: PolicyTarget = { ...target, service: backend.service, version: backend.version };
      const layers: PolicyLayer[] = layersFor(this.#policies, at);
      if (rule.policy !== null) layers.push({ level: Level.rule, source: rule.route, spec: rule.policy });
      const policy = resolvePolicy(layers);
      return this.#bind(backend, policy, methodName, this.#standby(policy, target, rule), rule);
    });
    type Found<Kind> = Extract<Resource, { kind: Kind }>;
    const attachedAt = <Kind extends ResourceKind>(kind: Kind, service?: string): (readonly [Level, Found<Kind>])[] => {
      const at = service === undefined ? targets : targets.filter((target) => target.service === service);
      return attachedAtAny(this.#attached.get(kind), at) as (readonly [Level, Found<Kind>])[];
    };
    const attached = <Kind extends ResourceKind>(kind: Kind): Found<Kind>[] =>
      attachedAt(kind).map(([, resource]) => resource);
    const all = <Kind extends ResourceKind>(kind: Kind): Found<Kind>[] =>
      (this.#attached.get(kind)?.values() ?? []) as Found<Kind>[];
    const services = [...new Set(rule.backends.map(({ service }) => service))];
    const policies = bindings.map(({ policy }) => policy);
    const gates = compileGates({
      place,
      rule,
      method,
      methodName,
      services,
      policies,
      keeper: this.#keeper,
      attached,
      attachedAt,
      all,
    });
    return {
      snapshot: this,
      rule,
      method,
      bindings,
      gates,
      watched: gates.some(
        ({ headed, failing, left }) => headed !== undefined || failing !== undefined || left !== undefined,
      ),
      mirrors: rule.mirrors.map(({ backend, percent }) => ({
        group: this.#table.group(backend.service, backend.version),
        percent,
      })),
    };
  }

  /** The service that stands in for one that fails, with the policy that holds there; its own fallback is not looked at. */
  #standby(policy: EffectivePolicy, target: Omit<PolicyTarget, "service">, rule: Rule): Binding | null {
    const named = policy.fallback?.service ?? "";
    if (named === "") return null;
    const [service, version = ""] = named.split("@", 2);
    const own = resolvePolicy(layersFor(this.#policies, { ...target, service, version, route: "", rule: "" }));
    return this.#bind({ service, version, weight: 1, changes: null }, own, target.method, null, rule);
  }

  #bind(backend: Backend, policy: EffectivePolicy, methodName: string, standby: Binding | null, rule: Rule): Binding {
    const name = backendName(backend);
    return {
      name,
      weight: backend.weight,
      changes: policy.balancer.wantsReports ? askingForReports(backend.changes ?? rule) : backend.changes,
      group: this.#table.group(backend.service, backend.version),
      policy,
      breaker: policy.breaker === null ? null : this.#keeper.breaker(name, policy.breaker),
      budget: this.#keeper.budget(backend.service, policy.retry.budget),
      counters: this.#keeper.counters(backend.service),
      extras: policy.hedge !== null || policy.outlier !== null || policy.idleTimeout !== Number.POSITIVE_INFINITY,
      hedgeBudget: policy.hedge === null ? null : this.#keeper.hedgeBudget(backend.service, policy.hedge.ratio),
      latency: policy.hedge === null ? null : this.#keeper.latency(name, methodName),
      outliers: policy.outlier === null ? null : this.#keeper.outliers(name, policy.outlier),
      standby,
    };
  }
}

/** The changes, and the field by which servers are asked what load they have. */
function askingForReports({ requestAdd, requestRemove, responseAdd, responseRemove }: BackendChanges): BackendChanges {
  return { requestAdd: [...(requestAdd ?? []), ...ASK_FOR_REPORTS], requestRemove, responseAdd, responseRemove };
}

/** Balancers hash by `{ by: "message" }`, rate limits count by `{ by: "field" }`. */
function readsMessages(resources: readonly Resource[]): boolean {
  return resources.some((resource) => {
    if (resource.kind === "TrafficPolicy") return resource.spec.balancer?.hash?.some(({ by }) => by === "message");
    return resource.kind === "RateLimit" && JSON.stringify(resource.spec.key ?? "").includes('"by":"field"');
  });
}

export interface RouteMatch {
  readonly plan: Plan;
  readonly prefix: string;
  readonly cookiePath: string;
}

/** All that holds for calls that one rule takes to one method. */
export interface Plan {
  readonly snapshot: Snapshot;
  readonly rule: Rule;
  readonly method: MethodInfo | null;
  readonly bindings: readonly Binding[];
  readonly gates: readonly Gate[];
  /** Some gate wants to hear what becomes of the call. */
  readonly watched: boolean;
  readonly mirrors: readonly { readonly group: Group; readonly percent: number }[];
}

/** A backend of a rule with its policy and the state that it reads and writes. */
export interface Binding {
  /** "products@v1" */
  readonly name: string;
  readonly weight: number;
  /** Header changes in place of the rule's; null when there are none of its own. */
  readonly changes: BackendChanges | null;
  readonly group: Group;
  readonly policy: EffectivePolicy;
  readonly breaker: CallBreaker | null;
  readonly budget: RetryBudget;
  readonly counters: ServiceCounters;
  /** Hedging, outlier detection or an idle time-out: what most calls do without, and shall not pay for. */
  readonly extras: boolean;
  /** Null: no hedging. */
  readonly hedgeBudget: HedgeBudget | null;
  readonly latency: LatencyEstimate | null;
  /** Null: no outlier detection. */
  readonly outliers: OutlierDetector | null;
  /** Whom to ask when this one fails; null for nobody. */
  readonly standby: Binding | null;
}

/** "counter.v1.Counter" of "/counter.v1.Counter/Count"; "" when it is no method's path. */
function contractOf(path: string): string {
  const slash = path.indexOf("/", 1);
  return slash < 0 ? "" : path.slice(1, slash);
}

function withoutQuery(path: string): string {
  const mark = path.indexOf("?");
  return mark < 0 ? path : path.slice(0, mark);
}

const MAX_IMPLICIT = 10_000;
