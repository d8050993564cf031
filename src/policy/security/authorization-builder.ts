import { policyName, type TargetInput, targetOf } from "../resource/builder-parts.ts";
import { type Resource, type TargetRef, WEFT_API } from "../resource/resources.ts";
import type { EnforcedAt } from "./authentication-resource.ts";
import type { AuthorizationRule, AuthorizationSpec, ExternalSpec } from "./authorization-resource.ts";

/** A rule's conditions, as AuthorizationRule has them. */
export type RuleInput = Omit<AuthorizationRule, "action" | "external">;

/**
 * Makes an Authorization. Every method gives a new builder and leaves the old one as it was.
 *
 *     authorization("orders").allow({ peers: ["spiffe://shop/gateway"] }).deny({ networks: ["192.0.2.0/24"] })
 */
export interface AuthorizationBuilder {
  /** Also for this target. */
  and(target: TargetInput): AuthorizationBuilder;
  allow(rule: RuleInput): AuthorizationBuilder;
  deny(rule: RuleInput): AuthorizationBuilder;
  /** Leaves a note in the decision, and does nothing else. */
  audit(rule: RuleInput): AuthorizationBuilder;
  /** Calls that match the rule (default all) are put to a service. */
  ask(external: ExternalSpec, rule?: RuleInput): AuthorizationBuilder;
  /** What no allow rule matches is denied, also when there is none. */
  denyByDefault(): AuthorizationBuilder;
  at(...places: EnforcedAt[]): AuthorizationBuilder;
  named(name: string): AuthorizationBuilder;
  resources(): readonly Resource[];
}

/** Begins rules for a service, a method ("a.B/C"), the system ("*"), or a target in full. The resource is named after it. */
export function authorization(target: TargetInput): AuthorizationBuilder {
  return make(null, [targetOf(target)], {});
}

function make(
  name: string | null,
  targetRefs: readonly TargetRef[],
  spec: Omit<AuthorizationSpec, "targetRefs">,
): AuthorizationBuilder {
  const change = (changes: Partial<AuthorizationSpec>): AuthorizationBuilder =>
    make(name, targetRefs, { ...spec, ...changes });
  const add = (rule: AuthorizationRule): AuthorizationBuilder => change({ rules: [...(spec.rules ?? []), rule] });
  return {
    and: (target) => make(name, [...targetRefs, targetOf(target)], spec),
    allow: (rule) => add({ action: "allow", ...rule }),
    deny: (rule) => add({ action: "deny", ...rule }),
    audit: (rule) => add({ action: "audit", ...rule }),
    ask: (external, rule = {}) => add({ action: "external", ...rule, external }),
    denyByDefault: () => change({ default: "deny" }),
    at: (...places) => change({ at: places }),
    named: (chosen) => make(chosen, targetRefs, spec),
    resources: () => [
      {
        apiVersion: WEFT_API,
        kind: "Authorization",
        metadata: { name: name ?? policyName(targetRefs[0]) },
        spec: { targetRefs, ...spec },
      },
    ],
  };
}
