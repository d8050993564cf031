import type { Authorization, AuthorizationRule } from "../security/authorization-resource.ts";
import type { CheckedSystem } from "./checked-system.ts";
import { type Finding, finding } from "./finding.ts";
import { targetsOf } from "./policy-conflicts.ts";

/**
 * Rules of Authorizations that cannot change any decision: an allow or external rule of which every call is denied by another (deny wins), and a rule of which
 * every call has the same from another. Only what can be decided is told: patterns by their texts, networks and conditions in CEL when they are the same.
 */
export function shadowedAuthorization({ resources, placeOf }: CheckedSystem): Finding[] {
  const policies = resources.filter((resource) => resource.kind === "Authorization");
  const rules = policies.flatMap((policy) =>
    (policy.spec.rules ?? []).map((rule, index): Placed => ({ policy, rule, index })),
  );
  const findings: Finding[] = [];
  for (const [i, one] of rules.entries()) {
    if (one.rule.action === "audit") continue;
    const denied = rules.find(
      (other) => other !== one && other.rule.action === "deny" && one.rule.action !== "deny" && takesAll(other, one),
    );
    const same = rules.find(
      // Of two that are alike the first stays.
      (other, j) =>
        other !== one &&
        other.rule.action === one.rule.action &&
        takesAll(other, one) &&
        (j < i || !takesAll(one, other)) &&
        isPlain(one.rule),
    );
    const by = denied ?? same;
    if (by === undefined) continue;
    const why = denied === undefined ? "does the same for every such call" : "denies every such call, and deny wins";
    findings.push(
      finding(
        "authorization-shadowed",
        placeOf(one.policy, ["spec", "rules", one.index]),
        `${nameOf(one)} (${one.rule.action}) has no effect: ${nameOf(by)} ${why}`,
        denied === undefined ? "take one of the two out" : "make the deny rule more specific, or take this one out",
        [{ place: placeOf(by.policy, ["spec", "rules", by.index]), message: `${nameOf(by)} is here` }],
      ),
    );
  }
  return findings;
}

interface Placed {
  readonly policy: Authorization;
  readonly rule: AuthorizationRule;
  readonly index: number;
}

/** Whether every call that `b` matches, wherever it holds, is matched by `a`. */
function takesAll(a: Placed, b: Placed): boolean {
  return holdsWhere(a.policy, b.policy) && covers(a.rule, b.rule);
}

function holdsWhere(a: Authorization, b: Authorization): boolean {
  if (a === b) return true;
  if (JSON.stringify(a.spec.at) !== JSON.stringify(b.spec.at)) return false;
  const [own, others] = [targetsOf(a), targetsOf(b)];
  return own.includes("the system") || others.every((target) => own.includes(target));
}

const LISTS = [
  "peers",
  "authenticatedBy",
  "subjects",
  "issuers",
  "services",
  "methods",
  "paths",
  "hosts",
  "networks",
] as const;

function covers(a: AuthorizationRule, b: AuthorizationRule): boolean {
  for (const field of LISTS) {
    const [wide, narrow] = [a[field], b[field]];
    if (wide === undefined) continue;
    if (narrow === undefined || !narrow.every((value) => wide.some((pattern) => matches(pattern, value)))) return false;
  }
  if (a.when !== undefined && a.when !== b.when) return false;
  return isSubset(a.claims, b.claims) && isSubset(a.headers, b.headers);
}

/** Whether whatever `value` stands for is among what `pattern` stands for, both with "*" at either end. */
function matches(pattern: string, value: string): boolean {
  if (pattern === value || pattern === "*") return true;
  if (pattern.endsWith("*")) return value.startsWith(pattern.slice(0, -1));
  return pattern.startsWith("*") && value.endsWith(pattern.slice(1));
}

function isSubset(wide: readonly unknown[] | undefined, narrow: readonly unknown[] | undefined): boolean {
  const have = new Set((narrow ?? []).map((one) => JSON.stringify(one)));
  return (wide ?? []).every((one) => have.has(JSON.stringify(one)));
}

/** External rules ask somebody: two of them are never one. */
function isPlain({ action }: AuthorizationRule): boolean {
  return action !== "external";
}

function nameOf({ policy, rule, index }: Placed): string {
  return `Authorization ${policy.metadata.name}, rule ${rule.name ?? index + 1}`;
}
