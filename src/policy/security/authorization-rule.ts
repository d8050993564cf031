import { isIP } from "node:net";
import { type Network, parseNetwork } from "../../core/network.ts";
import type { AuthorizationRule, HeaderMatch } from "./authorization-resource.ts";
import { compileCel } from "./cel-condition.ts";
import { claimMatchText, matchesClaim } from "./claims.ts";
import { hostPattern, pathPattern, type TextPattern, textPattern } from "./pattern.ts";
import type { RuleInput } from "./rule-input.ts";

/** A rule, compiled: the conditions that it has and no others. Null from a condition: it could not be judged. */
export interface CompiledRule {
  /** "Authorization orders, rule buyers" */
  readonly label: string;
  readonly policy: string;
  readonly rule: AuthorizationRule;
  readonly conditions: readonly Condition[];
  /** Its peers when it names them without "*": what the index is by. */
  readonly exactPeers: readonly string[] | null;
}

export interface Condition {
  /** "principal = spiffe://shop/orders", for explanations. */
  readonly text: string;
  /** About the end user, so that only a place that knows one can judge it. */
  readonly ofUser: boolean;
  /** `lenient`: true for rules that take something away: what can be read in two ways matches when either does. Null: cannot be judged. */
  holds(input: RuleInput, lenient: boolean): boolean | null;
}

/** Whether a rule takes something away (deny, external, audit) when it matches. */
function isLenient({ action }: AuthorizationRule): boolean {
  return action !== "allow";
}

/**
 * All conditions hold. One that cannot be judged does not let an allow rule match, and does let the others: an error never opens anything.
 */
export function ruleMatches({ conditions, rule }: CompiledRule, input: RuleInput): boolean {
  const lenient = isLenient(rule);
  for (let i = 0; i < conditions.length; i++) {
    if (!(conditions[i].holds(input, lenient) ?? (lenient && rule.action !== "audit"))) return false;
  }
  return true;
}

export function compileRule(rule: AuthorizationRule, policy: string, number: number): CompiledRule {
  const conditions: Condition[] = [];
  const add = (text: string, holds: Condition["holds"], ofUser = false): void => {
    conditions.push({ text, ofUser, holds });
  };
  const any = (
    values: readonly string[] | undefined,
    make: (text: string) => TextPattern,
  ): readonly TextPattern[] | null => (values === undefined ? null : values.map(make));

  // The cheap and telling ones first.
  const peers = any(rule.peers, textPattern);
  if (peers !== null) add(`principal = ${oneOf(peers)}`, ({ caller }) => matchesAny(peers, caller.peerIdentity));
  const { methods, services } = rule;
  if (methods !== undefined) add(`method = ${methods.join(" or ")}`, ofRequests(methodCondition(methods)));
  if (services !== undefined) {
    add(`service = ${services.join(" or ")}`, ({ services: sent }, lenient) => {
      const named = (service: string): boolean => services.includes(service);
      return lenient ? sent.some(named) : sent.length > 0 && sent.every(named);
    });
  }
  const by = rule.authenticatedBy;
  if (by !== undefined) {
    const text = by.includes("*") ? "the caller is authenticated" : `authenticated by ${by.join(" or ")}`;
    add(
      text,
      ({ principal }) => principal.provider !== "" && (by.includes("*") || by.includes(principal.provider)),
      true,
    );
  }
  const subjects = any(rule.subjects, textPattern);
  if (subjects !== null) {
    const text = `subject = ${oneOf(subjects)}`;
    add(text, ({ principal }) => principal.provider !== "" && matchesAny(subjects, principal.subject), true);
  }
  const issuers = any(rule.issuers, textPattern);
  if (issuers !== null)
    add(`issuer = ${oneOf(issuers)}`, ({ principal }) => matchesAny(issuers, principal.issuer), true);
  for (const match of rule.claims ?? []) {
    add(
      claimMatchText(match),
      ({ principal }) => principal.provider !== "" && matchesClaim(principal.claims, match),
      true,
    );
  }
  const hosts = any(rule.hosts, hostPattern);
  if (hosts !== null)
    add(`host = ${oneOf(hosts)}`, (input) =>
      input.session && input.host === "" ? null : matchesAny(hosts, input.host),
    );
  const paths = any(rule.paths, pathPattern);
  if (paths !== null) {
    const holds = ofRequests(({ path: { strict, loose } }, lenient) => {
      const first = matchesAny(paths, strict);
      if (strict === loose || first === lenient) return first;
      return matchesAny(paths, loose);
    });
    add(`path = ${oneOf(paths)}`, holds);
  }
  const networks = rule.networks?.map((text) => parseNetwork(text) as Network);
  if (networks !== undefined) {
    const text = `network = ${networks.map((network) => network.text).join(" or ")}`;
    add(text, ({ address }) => (isIP(address) === 0 ? null : networks.some((network) => network.has(address))));
  }
  for (const match of rule.headers ?? []) add(headerText(match), ofRequests(headerCondition(match)));
  if (rule.when !== undefined) {
    const condition = compileCel(rule.when);
    const readsPath = /\bpath\b/.test(rule.when);
    const holds: Condition["holds"] = (input, lenient) => {
      const { strict, loose } = input.path;
      const first = condition.test(input, strict);
      return !readsPath || strict === loose || first === lenient ? first : condition.test(input, loose);
    };
    const ofRequest = /\brequest\b/.test(rule.when);
    add(rule.when, ofRequest ? ofRequests(holds) : holds, /\bprincipal\b/.test(rule.when));
  }
  return {
    label: `${policy}, rule ${rule.name ?? number}`,
    policy,
    rule,
    conditions,
    exactPeers: rule.peers?.every((peer) => !peer.includes("*")) ? rule.peers : null,
  };
}

/** Whether it can be judged only where end users are known. */
export function namesUsers({ conditions }: CompiledRule): boolean {
  return conditions.some(({ ofUser }) => ofUser);
}

/** A condition about an HTTP request. Of a session it cannot be judged: no allow rule with one matches a session, and every deny rule may. */
function ofRequests(holds: Condition["holds"]): Condition["holds"] {
  return (input, lenient) => (input.session ? null : holds(input, lenient));
}

function methodCondition(methods: readonly string[]): Condition["holds"] {
  const verbs = new Set(methods.filter((method) => !method.includes("/")));
  const grpc = methods.filter((method) => method.includes("/")).map((method) => textPattern(method.replace(/^\//, "")));
  return ({ request, grpcMethod }, lenient) => {
    // Methods have a case (RFC 9110 section 9.1), which some servers do not mind.
    if (verbs.has(request.method) || (lenient && verbs.has(request.method.toUpperCase()))) return true;
    return grpcMethod !== "" && matchesAny(grpc, grpcMethod);
  };
}

function headerCondition(match: HeaderMatch): Condition["holds"] {
  const name = match.name.toLowerCase();
  const test = (value: string): boolean => {
    if (match.equals !== undefined) return value === match.equals;
    if (match.in !== undefined) return match.in.includes(value);
    return match.prefix !== undefined ? value.startsWith(match.prefix) : value.includes(match.contains ?? "");
  };
  return ({ request: { fields } }, lenient) => {
    let seen = 0;
    let held = 0;
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] !== name) continue;
      seen++;
      if (match.exists === undefined && test(fields[i + 1])) held++;
    }
    if (match.exists !== undefined) return seen > 0 === match.exists;
    return lenient ? held > 0 : seen > 0 && held === seen;
  };
}

/** Only names: a field's value may be a secret. */
function headerText({ name, exists }: HeaderMatch): string {
  if (exists !== undefined) return `header ${name} ${exists ? "is there" : "is not there"}`;
  return `header ${name} as the rule says`;
}

function matchesAny(patterns: readonly TextPattern[], value: string): boolean {
  for (let i = 0; i < patterns.length; i++) if (patterns[i].test(value)) return true;
  return false;
}

function oneOf(patterns: readonly TextPattern[]): string {
  return patterns.map(({ text }) => text).join(" or ");
}
