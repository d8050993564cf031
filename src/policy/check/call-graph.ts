import type { EffectivePolicy } from "../snapshot/effective-policy.ts";
import type { CheckedSystem } from "./checked-system.ts";
import { policyOfCalls } from "./effective-policies.ts";
import { type Finding, finding } from "./finding.ts";

/** How many attempts one call of a system's callers can become at one service, when everything below fails. */
export interface Amplification {
  /** From the gateway (or the first service) to the service: ["gateway", "orders", "payments"]. */
  readonly path: readonly string[];
  /** Attempts at the last service for one call at the start, if nothing bounded them: the product of 1 + retries + hedges along the path. */
  readonly attempts: number;
  /** The same with the retry budgets spent by every hop: the product of 1 + ratio. What a failing system gets under load, beyond minPerSecond. */
  readonly bounded: number;
}

/** Every path of the call graph that no other one goes on from, the worst first. */
export function amplifications({ resources, needs, services }: CheckedSystem): Amplification[] {
  const called = new Set([...needs.values()].flat());
  const roots = services.filter((service) => !called.has(service));
  const found: Amplification[] = [];
  const policies = new Map<string, EffectivePolicy>();
  const policyOf = (service: string): EffectivePolicy => {
    let policy = policies.get(service);
    if (policy === undefined) policies.set(service, (policy = policyOfCalls(resources, service)));
    return policy;
  };
  const visit = (path: readonly string[], attempts: number, bounded: number): void => {
    if (found.length >= MAX_PATHS) return;
    const at = path[path.length - 1];
    const callees = (needs.get(at) ?? []).filter((callee) => !path.includes(callee));
    if (callees.length === 0) found.push({ path, attempts, bounded });
    for (const callee of callees) step(path, callee, attempts, bounded);
  };
  const step = (path: readonly string[], callee: string, attempts: number, bounded: number): void => {
    const { retry, hedge } = policyOf(callee);
    const hedges = hedge === null ? 0 : hedge.max;
    const ratio = (retry.attempts > 0 ? retry.budget.ratio : 0) + (hedge === null ? 0 : hedge.ratio);
    visit([...path, callee], attempts * (1 + retry.attempts + hedges), bounded * (1 + ratio));
  };
  for (const root of roots) step(["gateway"], root, 1, 1);
  return found.sort((a, b) => b.attempts - a.attempts || b.bounded - a.bounded);
}

/** The worst path is told of as a note; paths that multiply too much as warnings. */
export function retryAmplification(system: CheckedSystem): Finding[] {
  const all = amplifications(system).filter(({ path }) => path.length > 2);
  const findings: Finding[] = [];
  for (const { path, attempts, bounded } of all) {
    if (bounded <= MOST_BOUNDED && attempts <= MOST_ATTEMPTS) continue;
    findings.push(
      finding(
        "retry-amplification",
        system.placeOfNeeds(path[path.length - 2]),
        `one call becomes up to ${attempts} attempts at ${path[path.length - 1]} when it fails (${path.join(" -> ")}); retry budgets bound it to ${figure(bounded)} under load`,
        `retry at one hop of the path: traffic("${path[path.length - 1]}").retry(0), or smaller budgets`,
      ),
    );
  }
  const [worst] = all;
  if (worst !== undefined) {
    const { path, attempts, bounded } = worst;
    findings.push(
      finding(
        "call-graph",
        system.placeOfNeeds(path[path.length - 2]),
        `worst retry amplification: ${attempts} attempts for one call, ${figure(bounded)} under load with retry budgets (${path.join(" -> ")})`,
      ),
    );
  }
  return findings;
}

function figure(bounded: number): string {
  return `${Math.round(bounded * 100) / 100}x`;
}

/** Three hops with the default policy make 27 attempts at worst, and 1.73x under load: more than that is somebody's doing. */
const MOST_ATTEMPTS = 27;
const MOST_BOUNDED = 2;
const MAX_PATHS = 1_000;
