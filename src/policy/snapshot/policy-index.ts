import { Level } from "../resource/level.ts";
import type { Resource, TargetRef, TrafficPolicySpec } from "../resource/resources.ts";
import type { PolicyLayer } from "./effective-policy.ts";

/** What policies attach to: the coordinates of a call, from which the layers that hold for it are found. */
export interface PolicyTarget {
  readonly gateway: boolean;
  readonly service: string;
  /** "" for every version. */
  readonly version: string;
  /** "counter.v1.Counter/Count", "counter.v1.Counter" for a method that nobody described, "" for what is not gRPC. */
  readonly method: string;
  /** "HTTPRoute/products", "" for implicit routes. */
  readonly route: string;
  readonly rule: string;
}

/** One attachment of anything to targets, found again by what it is attached to. */
export class TargetIndex<T> {
  readonly #entries = new Map<string, T[]>();
  readonly #values = new Set<T>();

  add(targets: readonly TargetRef[] | undefined, value: T): void {
    this.#values.add(value);
    for (const key of targets === undefined || targets.length === 0 ? ["System"] : targets.map(keyOf)) {
      const entries = this.#entries.get(key);
      if (entries === undefined) this.#entries.set(key, [value]);
      else if (!entries.includes(value)) entries.push(value);
    }
  }

  /** Least specific first. A value that is attached twice comes twice. */
  *find(target: PolicyTarget): Generator<readonly [Level, T]> {
    const { service, version, method, route, rule } = target;
    yield* this.#at(Level.system, "System");
    if (target.gateway) yield* this.#at(Level.gateway, "Gateway");
    yield* this.#at(Level.service, `Service ${service}`);
    if (version !== "") yield* this.#at(Level.service, `Service ${service}@${version}`);
    if (method !== "") {
      const slash = method.indexOf("/");
      if (slash >= 0) yield* this.#at(Level.method, `Method ${method.slice(0, slash)}`);
      yield* this.#at(Level.method, `Method ${method}`);
    }
    if (route !== "") yield* this.#at(Level.route, `Route ${route}`);
    if (rule !== "") yield* this.#at(Level.rule, `Route ${route}#${rule}`);
  }

  /** Everything that is attached anywhere, in the order in which it was added. */
  values(): T[] {
    return [...this.#values];
  }

  /** Whether anything is attached to this method, or to this contract. */
  hasMethod(name: string): boolean {
    return this.#entries.has(`Method ${name}`);
  }

  *#at(level: Level, key: string): Generator<readonly [Level, T]> {
    for (const value of this.#entries.get(key) ?? []) yield [level, value];
  }
}

/** What is attached to any of these targets, each once with the most specific level at which it is. */
export function attachedAtAny<T>(
  index: TargetIndex<T> | undefined,
  targets: readonly PolicyTarget[],
): (readonly [Level, T])[] {
  const found = new Map<T, Level>();
  for (const at of targets)
    for (const [level, value] of index?.find(at) ?? [])
      found.set(value, Math.max(level, found.get(value) ?? level) as Level);
  return Array.from(found, ([value, level]) => [level, value] as const);
}

export type PolicyIndex = TargetIndex<{ source: string; spec: TrafficPolicySpec }>;

/** All traffic policies, by what they are attached to; of several at one target the first by name wins. */
export function indexPolicies(resources: readonly Resource[]): PolicyIndex {
  const index: PolicyIndex = new TargetIndex();
  const policies = resources.filter((resource) => resource.kind === "TrafficPolicy");
  policies.sort((a, b) => (a.metadata.name < b.metadata.name ? 1 : -1)); // the first by name is applied last, and so wins
  for (const { metadata, spec } of policies)
    index.add(spec.targetRefs, { source: `TrafficPolicy ${metadata.name}`, spec });
  return index;
}

export function layersFor(index: PolicyIndex, target: PolicyTarget): PolicyLayer[] {
  return Array.from(index.find(target), ([level, { source, spec }]) => ({ level, source, spec }));
}

function keyOf(target: TargetRef): string {
  switch (target.kind) {
    case "System":
    case "Gateway":
      return target.kind;
    case "HTTPRoute":
    case "GRPCRoute":
    case "TCPRoute":
    case "UDPRoute":
    case "TLSRoute":
      return `Route ${target.kind}/${target.name ?? ""}${target.sectionName === undefined ? "" : `#${target.sectionName}`}`;
    default:
      return `${target.kind} ${(target.name ?? "").replace(/^\//, "")}`;
  }
}
