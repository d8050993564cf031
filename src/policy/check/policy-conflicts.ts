import type { TargetRef, TrafficPolicy } from "../resource/resources.ts";
import { isObject } from "../resource/shape.ts";
import { POLICY_FIELD_NAMES } from "../snapshot/policy-fields.ts";
import type { CheckedSystem } from "./checked-system.ts";
import { type Finding, finding } from "./finding.ts";

/** Policies of one target that write one field in different ways: the first by name wins, which nobody means. */
export function policyConflicts({ resources, placeOf }: CheckedSystem): Finding[] {
  const findings: Finding[] = [];
  const policies = resources.filter((resource) => resource.kind === "TrafficPolicy");
  policies.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const byTarget = new Map<string, TrafficPolicy[]>();
  const seen = new Set<string>();
  for (const loser of policies) {
    for (const target of targetsOf(loser)) {
      const others = byTarget.get(target) ?? [];
      byTarget.set(target, [...others, loser]);
      for (const winner of others) {
        const pair = `${winner.metadata.name} ${loser.metadata.name}`;
        if (winner === loser || seen.has(pair)) continue;
        seen.add(pair);
        for (const path of differing(winner, loser)) {
          findings.push(
            finding(
              "policy-conflict",
              placeOf(loser, ["spec", ...path]),
              `${path.join(".")} of ${target} is also written by TrafficPolicy ${winner.metadata.name}, which wins as the first by name`,
              "write it in one of the two",
              [
                {
                  place: placeOf(winner, ["spec", ...path]),
                  message: `TrafficPolicy ${winner.metadata.name} writes it here`,
                },
              ],
            ),
          );
        }
      }
    }
  }
  return findings;
}

/** "Service payments", "the system". */
export function targetsOf({ spec }: { readonly spec: { readonly targetRefs?: readonly TargetRef[] } }): string[] {
  if (spec.targetRefs === undefined || spec.targetRefs.length === 0) return ["the system"];
  return spec.targetRefs.map(({ kind, name = "", sectionName }) =>
    kind === "System"
      ? "the system"
      : kind === "Gateway"
        ? "the gateway"
        : `${kind} ${name.replace(/^\//, "")}${sectionName === undefined ? "" : `#${sectionName}`}`,
  );
}

/** Paths of leaves that both write, with different values; lists are leaves. */
function differing(a: TrafficPolicy, b: TrafficPolicy): string[][] {
  const paths: string[][] = [];
  const visit = (one: unknown, other: unknown, path: string[]): void => {
    if (one === undefined || other === undefined) return;
    if (isObject(one) && isObject(other)) {
      for (const name of Object.keys(other)) visit(one[name], other[name], [...path, name]);
    } else if (JSON.stringify(one) !== JSON.stringify(other)) paths.push(path);
  };
  for (const name of POLICY_FIELD_NAMES) visit(a.spec[name], b.spec[name], [name]);
  return paths;
}
