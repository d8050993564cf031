import { claimOf } from "../machine/principal.ts";
import type { AuthorizationRule } from "./authorization-resource.ts";
import { claimText } from "./claims.ts";
import type { RuleInput } from "./rule-input.ts";

/** What a rule looked at, of one call, by name; never the values of header fields, which may be secrets. Worked out for calls that are refused. */
export function seenValues(rule: AuthorizationRule, input: RuleInput): Readonly<Record<string, string>> {
  const { caller, principal, request } = input;
  const seen: Record<string, string> = {};
  const add = (name: string, value: string): void => {
    if (value !== "") seen[name] = value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}...` : value;
  };
  add("peer", caller.peerIdentity === "" && rule.peers !== undefined ? "none" : caller.peerIdentity);
  if (rule.methods !== undefined) {
    add("method", rule.methods.some((method) => method.includes("/")) ? input.grpcMethod : request.method);
  }
  if (rule.services !== undefined) add("service", input.services.join(", "));
  add("subject", principal.subject);
  if (rule.issuers !== undefined) add("issuer", principal.issuer);
  for (const { claim } of rule.claims ?? []) {
    const value = claimOf(principal.claims, claim);
    add(claim, value === undefined ? "absent" : claimText(value));
  }
  if (rule.hosts !== undefined) add("host", input.host);
  if (rule.paths !== undefined) add("path", input.path.strict);
  if (rule.networks !== undefined) add("address", input.address);
  return seen;
}

const MAX_TEXT = 128;
