import type { EffectivePolicy } from "../snapshot/effective-policy.ts";
import type { PolicyFieldName } from "../snapshot/policy-fields.ts";

/** Whether a field means the same in all of these policies, from the same resource: then nobody needs to know which of them holds for a call. */
export function sameField(policies: readonly EffectivePolicy[], field: PolicyFieldName): boolean {
  const [first] = policies;
  const text = textOf(first?.[field]);
  return policies.every((policy) => policy.sources[field] === first.sources[field] && textOf(policy[field]) === text);
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_name, part) => (part instanceof Set ? [...part] : part)) ?? "";
}
