import type { Authorization, AuthorizationRule, HeaderMatch } from "../../../policy/security/authorization-resource.ts";
import { type Document, quoted, typed } from "./document.ts";
import { anyOfIds, anyToken, claimPrincipal, NOBODY, tokenText } from "./jwt-config.ts";

export const RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC";
const RBAC_PER_ROUTE = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute";

/** What is known of a call before it comes. */
export interface RuleContext {
  /** Services that it may go to. */
  readonly services: readonly string[];
  /** Providers of tokens that are verified before. */
  readonly providers: readonly string[];
}

/** The rules of one action as a config.rbac.v3.RBAC, each policy named for people; null where there are none. */
export function rbacRules(
  action: "ALLOW" | "DENY",
  attached: readonly Authorization[],
  wanted: AuthorizationRule["action"],
  context: RuleContext,
): Document | null {
  const policies: Record<string, Document> = {};
  for (const { metadata, spec } of attached) {
    (spec.rules ?? []).forEach((rule, i) => {
      if (rule.action !== wanted) return;
      const principal = rulePrincipal(rule, context);
      if (principal === NOBODY) return;
      policies[`${metadata.name}/${rule.name ?? i + 1}`] = { permissions: [{ any: true }], principals: [principal] };
    });
  }
  if (Object.keys(policies).length === 0) return null;
  return { action, policies };
}

/**
 * A rule as a config.rbac.v3.Principal, in which all its conditions can be said. What Envoy cannot judge (`when`) lets an allow rule match nobody, and is left out
 * of the others, which then match more: an error never opens anything.
 */
export function rulePrincipal(rule: AuthorizationRule, { services, providers }: RuleContext): Document {
  const allows = rule.action === "allow";
  if (rule.when !== undefined && (allows || rule.action === "audit")) return NOBODY;
  const ids: Document[] = [];
  if (rule.services !== undefined) {
    const named = (service: string): boolean => rule.services?.includes(service) === true;
    if (!(allows ? services.length > 0 && services.every(named) : services.some(named))) return NOBODY;
  }
  if (rule.peers !== undefined) {
    ids.push(
      anyOfIds(rule.peers.map((peer) => ({ authenticated: peer === "*" ? {} : { principal_name: textMatch(peer) } }))),
    );
  }
  if (rule.methods !== undefined) ids.push(anyOfIds(rule.methods.map((method) => methodId(method, !allows))));
  const by = rule.authenticatedBy;
  if (by !== undefined) {
    ids.push(
      anyToken(
        by.includes("*") ? providers : providers.filter((provider) => by.includes(provider.replace(/~\d+$/, ""))),
      ),
    );
  }
  if (rule.subjects !== undefined) ids.push(tokenText(providers, "sub", rule.subjects.map(textMatch)));
  if (rule.issuers !== undefined) ids.push(tokenText(providers, "iss", rule.issuers.map(textMatch)));
  for (const claim of rule.claims ?? []) ids.push(claimPrincipal(providers, claim));
  if (rule.hosts !== undefined) {
    ids.push(
      anyOfIds(
        rule.hosts.map((host) => header(":authority", { safe_regex: { regex: `(?i)${starred(host)}(:\\d+)?` } })),
      ),
    );
  }
  if (rule.paths !== undefined) ids.push(anyOfIds(rule.paths.map(pathId)));
  if (rule.networks !== undefined) {
    ids.push(
      anyOfIds(
        rule.networks.map((network) => {
          const [address, bits = address.includes(":") ? "128" : "32"] = network.split("/");
          return { direct_remote_ip: { address_prefix: address, prefix_len: Number(bits) } };
        }),
      ),
    );
  }
  for (const match of rule.headers ?? []) ids.push(headerId(match));
  if (ids.length === 0) return { any: true };
  return ids.length === 1 ? ids[0] : { and_ids: { ids } };
}

/** Both of two sets of policies: calls to one of several services that differ have to pass each. Undefined where that would be too many. */
export function bothOf(a: Document, b: Document): Document | undefined {
  const first = Object.entries(a.policies as Record<string, { principals: Document[] }>);
  const second = Object.entries(b.policies as Record<string, { principals: Document[] }>);
  if (first.length * second.length > MAX_POLICIES) return undefined;
  const policies: Record<string, Document> = {};
  for (const [nameA, { principals: one }] of first) {
    for (const [nameB, { principals: other }] of second) {
      policies[`${nameA} & ${nameB}`] = {
        permissions: [{ any: true }],
        principals: [{ and_ids: { ids: [...one, ...other] } }],
      };
    }
  }
  return { action: "ALLOW", policies };
}

const MAX_POLICIES = 1_024;

/** A per-route configuration; without rules it lets everything pass. */
export function rbacPerRoute(
  rules: Document | null,
  shadow: Document | null = null,
  prefix = "",
  byRule = false,
): Document {
  return typed(RBAC_PER_ROUTE, {
    rbac: {
      ...(rules === null ? {} : { rules }),
      ...(shadow === null ? {} : { shadow_rules: shadow }),
      ...(prefix === "" ? {} : { shadow_rules_stat_prefix: prefix }),
      ...(byRule ? { track_per_rule_stats: true } : {}),
    },
  });
}

/** A text with "*" for any run of characters, as a type.matcher.v3.StringMatcher. */
function textMatch(text: string): Document {
  const first = text.indexOf("*");
  if (first < 0) return { exact: text };
  if (text === "*") return { safe_regex: { regex: ".+" } };
  if (first === text.length - 1) return { prefix: text.slice(0, -1) };
  if (first === 0 && text.indexOf("*", 1) < 0) return { suffix: text.slice(1) };
  return { safe_regex: { regex: starred(text) } };
}

function starred(text: string): string {
  return text.split("*").map(quoted).join(".*");
}

function pathId(path: string): Document {
  const whole: Document = { url_path: { path: textMatch(path) } };
  if (!path.endsWith("/*") || path.indexOf("*") !== path.length - 1 || path === "/*") return whole;
  return { or_ids: { ids: [whole, { url_path: { path: { exact: path.slice(0, -2) } } }] } };
}

function methodId(method: string, lenient: boolean): Document {
  if (method.includes("/")) return { url_path: { path: textMatch(`/${method.replace(/^\//, "")}`) } };
  return header(":method", lenient ? { exact: method, ignore_case: true } : { exact: method });
}

function headerId({ name, equals, in: oneOf, prefix, contains, exists }: HeaderMatch): Document {
  if (exists !== undefined) {
    const there = { header: { name, present_match: true } };
    return exists ? there : { not_id: there };
  }
  if (equals !== undefined) return header(name, { exact: equals });
  if (oneOf !== undefined) return anyOfIds(oneOf.map((value) => header(name, { exact: value })));
  if (prefix !== undefined) return prefix === "" ? { header: { name, present_match: true } } : header(name, { prefix });
  return contains ? header(name, { contains }) : { header: { name, present_match: true } };
}

function header(name: string, match: Document): Document {
  return { header: { name, string_match: match } };
}
