import type { DecisionStep } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import { errorAnswer } from "../error-answer.ts";
import type { CallState } from "../machine/call-state.ts";
import { type Gate, GateAnswer } from "../machine/gate.ts";
import type { GateContext } from "../machine/gates.ts";
import { isAuthenticated } from "./authenticate-gate.ts";
import type { Authorization, AuthorizationRule } from "./authorization-resource.ts";
import { type CompiledRule, type Condition, compileRule, namesUsers } from "./authorization-rule.ts";
import { ExternalCheck } from "./external-check.ts";
import type { ExternalAnswer } from "./questions.ts";
import { RuleInput } from "./rule-input.ts";
import { RuleSet } from "./rule-set.ts";
import { seenValues } from "./seen-values.ts";
import type { Tallies } from "./tallies.ts";

/** Who may make these calls, where an Authorization is enforced. */
export function authorizeGates(context: GateContext): Gate[] {
  const { place } = context;
  if (place !== "gateway" && place !== "server") return [];
  return authorizationsIn(context).map(({ attached, services }) => {
    return new AuthorizeGate(attached.map(compilePolicy), services, context);
  });
}

/** The policies that hold for the calls at a place; several sets where a rule splits among services that differ: calls have to pass each. */
export function authorizationsIn(context: AuthorizationContext): { attached: Authorization[]; services: string[] }[] {
  const { place } = context;
  if (context.attachedAt("Authorization").length === 0) return [];
  // Where nobody is ever authenticated, rules about users are closed at the gateway; where it is done elsewhere, they hold there.
  const nowhere = context.attachedAt("Authentication").length === 0;
  const known = isAuthenticated(context) || (place === "gateway" && nowhere);
  return byService(context).flatMap(({ attached, services }) => {
    const here = attached.filter((resource) => {
      const { at } = resource.spec;
      return at === undefined ? known || !compilePolicy(resource).users : at.includes(place as "gateway");
    });
    return here.length === 0 ? [] : [{ attached: here, services }];
  });
}

type AuthorizationContext = Pick<GateContext, "attachedAt" | "services" | "place">;

/** What is attached, for services that have the same; several where a rule splits among services that differ: calls have to pass each. */
function byService({
  attachedAt,
  services,
}: AuthorizationContext): { attached: Authorization[]; services: string[] }[] {
  const groups: { attached: Authorization[]; services: string[] }[] = [];
  for (const service of services.length === 0 ? [undefined] : services) {
    const attached = attachedAt("Authorization", service).map(([, resource]) => resource);
    const same = groups.find(
      (known) => known.attached.length === attached.length && known.attached.every((one) => attached.includes(one)),
    );
    const named = service === undefined ? [] : [service];
    if (same === undefined) groups.push({ attached, services: named });
    else same.services.push(...named);
  }
  return groups;
}

interface Policy {
  readonly resource: Authorization;
  readonly rules: readonly CompiledRule[];
  readonly users: boolean;
}

/** Rules are compiled once for each resource, however many plans they are part of. */
function compilePolicy(resource: Authorization): Policy {
  let policy = COMPILED.get(resource);
  if (policy === undefined) {
    const name = `Authorization ${resource.metadata.name}`;
    const rules = (resource.spec.rules ?? []).map((rule, i) => compileRule(rule, name, i + 1));
    COMPILED.set(resource, (policy = { resource, rules, users: rules.some(namesUsers) }));
  }
  return policy;
}

const COMPILED = new WeakMap<Authorization, Policy>();

/**
 * One gate for all policies of a service's calls: audit, then deny, then allow, then external. Note: code = what came of it; detail = the rule, or Denied; text = the
 * peer's identity.
 *
 *     deny rule matches ---> 403 FORBIDDEN
 *     there are allow rules, or a default of deny, and none matches ---> 403 FORBIDDEN, or 401 when a login might help
 *     each external rule that matches ---ask---> agrees | its answer | 403 or pass, as `fail` says
 */
class AuthorizeGate implements Gate {
  readonly rule = "authorize";
  readonly source: string;
  readonly #deny: RuleSet;
  readonly #allow: RuleSet;
  readonly #audit: RuleSet;
  readonly #external: readonly ExternalCheck[];
  /** Allow rules that might ever match here, or a default of deny. */
  readonly #closed: boolean;
  readonly #closedBy: string;
  readonly #services: readonly string[];
  readonly #usersKnown: boolean;
  readonly #tallies: Tallies;

  constructor(policies: readonly Policy[], services: readonly string[], context: GateContext) {
    const { keeper, method } = context;
    this.source = policies.map(({ resource }) => `Authorization ${resource.metadata.name}`).join(", ");
    const of = (action: string): CompiledRule[] =>
      policies.flatMap(({ rules }) => rules.filter(({ rule }) => rule.action === action));
    const allow = of("allow");
    this.#closed = allow.length > 0 || policies.some(({ resource }) => resource.spec.default === "deny");
    this.#closedBy =
      policies.find(
        ({ resource, rules }) => resource.spec.default === "deny" || rules.some(({ rule }) => rule.action === "allow"),
      )?.resource.metadata.name ?? "";
    // What a rule says of the method is settled here where the contract says that calls come by this method alone.
    const applies = ({ rule }: CompiledRule): boolean =>
      method === null || rule.methods === undefined || couldBe(rule.methods, method.path.slice(1));
    this.#deny = new RuleSet(of("deny").filter(applies));
    this.#allow = new RuleSet(allow.filter(applies));
    this.#audit = new RuleSet(of("audit").filter(applies));
    this.#external = of("external")
      .filter(applies)
      .map((rule) => new ExternalCheck(rule, keeper));
    this.#services = services;
    this.#usersKnown = isAuthenticated(context);
    this.#tallies = keeper.authorizations;
  }

  enter(call: CallState, slot: number, now: number): GateAnswer {
    for (const check of this.#external) check.strip(call);
    const input = INPUT.of(call, this.#services, now);
    for (const rule of this.#audit.rules.length === 0 ? NO_RULES : this.#audit.matches(input)) {
      this.#note(call, rule, AUDITED, "audit");
      this.#tallies.count(rule.policy, "audited");
    }
    const denied = this.#deny.firstMatch(input);
    if (denied !== null) return this.#denyBy(call, denied, input);
    if (this.#closed) {
      const allowed = this.#allow.firstMatch(input);
      if (allowed === null) return this.#denyUnmatched(call, input);
      this.#note(call, allowed, ALLOWED, "ok");
      this.#tallies.count(allowed.policy, "allowed");
    } else if (this.#external.length === 0) {
      const note = call.decision.note(this, "ok");
      note.code = NOT_DENIED;
      this.#tallies.count(this.source, "allowed");
    }
    return this.#askFrom(0, call, slot, now);
  }

  #askFrom(from: number, call: CallState, slot: number, now: number): GateAnswer {
    for (let at = from; at < this.#external.length; at++) {
      const check = this.#external[at];
      const verdict = check.begin(call, INPUT.of(call, this.#services, now), now);
      if (verdict === null) continue;
      if (verdict === "ask") {
        call.memory[slot] = at;
        return GateAnswer.ask;
      }
      const answer = this.#judge(check, verdict, call);
      if (answer !== GateAnswer.pass) return answer;
    }
    return GateAnswer.pass;
  }

  answered(call: CallState, slot: number, result: unknown, now: number): GateAnswer {
    const at = call.memory[slot] as number;
    const check = this.#external[at];
    const answer = this.#judge(check, check.answered(call, result as ExternalAnswer | null, now), call);
    return answer === GateAnswer.pass ? this.#askFrom(at + 1, call, slot, now) : answer;
  }

  #judge(check: ExternalCheck, answer: ExternalAnswer | null, call: CallState): GateAnswer {
    const { compiled } = check;
    if (answer === null) {
      this.#tallies.count(compiled.policy, "unavailable");
      this.#note(call, compiled, check.failOpen ? FAILED_OPEN : FAILED_CLOSED, check.failOpen ? "failed" : "denied");
      if (check.failOpen) return GateAnswer.pass;
      const message = `${compiled.label}: external authorization did not answer in time`;
      call.response = errorAnswer("permission_denied", 403, "FORBIDDEN", message, true);
      return GateAnswer.respond;
    }
    this.#tallies.count(compiled.policy, answer.allowed ? "allowed" : "denied");
    this.#note(call, compiled, answer.allowed ? AGREED : REFUSED, answer.allowed ? "ok" : "denied");
    if (answer.allowed) {
      check.changeRequest(call, answer);
      return GateAnswer.pass;
    }
    call.response = check.refusal(answer);
    return GateAnswer.respond;
  }

  #denyBy(call: CallState, rule: CompiledRule, input: RuleInput): GateAnswer {
    const note = call.decision.note(this, "denied");
    note.code = DENIED;
    note.detail = { nearest: { rule, failed: [] }, seen: seenValues(rule.rule, input) } satisfies Denied;
    this.#tallies.count(rule.policy, "denied");
    call.response = errorAnswer("permission_denied", 403, "FORBIDDEN", `denied by ${rule.label}`);
    return GateAnswer.respond;
  }

  #denyUnmatched(call: CallState, input: RuleInput): GateAnswer {
    const nearest = nearestOf(this.#allow.rules, input);
    const note = call.decision.note(this, "denied");
    note.code = UNMATCHED;
    note.text = call.caller.peerIdentity;
    note.detail = { nearest, seen: seenValues(nearest?.rule.rule ?? ANY, input) } satisfies Denied;
    this.#tallies.count(`Authorization ${this.#closedBy}`, "unmatched");
    const anonymous = call.principal.provider === "" && this.#usersKnown;
    if (anonymous && nearest?.failed.some(({ ofUser }) => ofUser)) {
      const fields = ["www-authenticate", 'Bearer realm="weft"'];
      const message = `authentication is required by Authorization ${this.#closedBy}`;
      call.response = errorAnswer("unauthenticated", 401, "AUTHENTICATION_REQUIRED", message, false, fields);
    } else {
      const message = `no rule of Authorization ${this.#closedBy} allows this call`;
      call.response = errorAnswer("permission_denied", 403, "FORBIDDEN", message);
    }
    return GateAnswer.respond;
  }

  #note(call: CallState, rule: CompiledRule, code: number, verdict: "ok" | "denied" | "audit" | "failed"): void {
    const note = call.decision.note(this, verdict);
    note.code = code;
    note.text = call.caller.peerIdentity;
    note.detail = rule;
  }

  describe({ code, text: peer, detail }: GateNote): Pick<DecisionStep, "text" | "values"> {
    const values: Record<string, string> = peer === "" ? {} : { peer };
    if (code === NOT_DENIED) return { text: `allowed: no rule of ${this.source} denies it`, values };
    if (code === UNMATCHED) {
      const { nearest, seen } = detail as Denied;
      const rules = this.#allow.rules.length;
      const closest = nearest === null ? "" : `; the nearest is ${nearest.rule.label}`;
      const none =
        rules === 0 ? "no rule allows this method" : `none of ${rules} rule${rules === 1 ? "" : "s"} allows it`;
      return { text: none + closest, values: seen };
    }
    const rule = code === DENIED ? (detail as Denied).nearest?.rule : (detail as CompiledRule);
    if (rule === undefined) return { text: "", values };
    const because =
      rule.conditions.length === 0 ? "" : ` (${rule.conditions.map((condition) => condition.text).join("; ")})`;
    const seen = code === DENIED ? (detail as Denied).seen : values;
    return { text: `${WORDS[code]} ${rule.label}${because}`, values: { ...seen, rule: rule.label } };
  }

  nearest({ code, detail }: GateNote): string {
    if (code === UNMATCHED) {
      const { nearest } = detail as Denied;
      if (nearest === null) return `would have passed with an allow rule in Authorization ${this.#closedBy}`;
      return `allowed if ${nearest.failed.map(({ text }) => text).join(" and ")}`;
    }
    const rule = code === DENIED ? (detail as Denied).nearest?.rule : (detail as CompiledRule);
    if (rule === undefined) return "";
    if (code === FAILED_CLOSED)
      return `might have passed if the service of ${rule.label} had answered, or with fail: open`;
    if (code === REFUSED) return `would have passed if the service of ${rule.label} had agreed`;
    const text = rule.conditions.map((condition) => condition.text).join(" and ");
    return text === "" ? `would have passed without ${rule.label}` : `would have passed unless ${text} (${rule.label})`;
  }
}

/** Kept by the note of a call that a rule denies, or that none allows: that rule, or the one that came nearest. */
interface Denied {
  readonly nearest: Nearest | null;
  readonly seen: Readonly<Record<string, string>>;
}

interface Nearest {
  readonly rule: CompiledRule;
  readonly failed: readonly Condition[];
}

/** The allow rule with the fewest conditions that do not hold. Looks at the first 256. */
function nearestOf(rules: readonly CompiledRule[], input: RuleInput): Nearest | null {
  let best: Nearest | null = null;
  for (let i = 0; i < rules.length && i < MAX_NEAREST; i++) {
    const failed = rules[i].conditions.filter((condition) => condition.holds(input, false) !== true);
    if (best === null || failed.length < best.failed.length) best = { rule: rules[i], failed };
  }
  return best;
}

/** Whether a rule's methods leave room for calls of this gRPC method, which are POST, also when they came as REST. */
function couldBe(methods: readonly string[], grpc: string): boolean {
  return methods.some((method) => !method.includes("/") || method.includes("*") || method.replace(/^\//, "") === grpc);
}

/** One serves all: nothing waits between `of` and the last look at it. */
const INPUT = new RuleInput();
const ANY: AuthorizationRule = { action: "allow" };
const NO_RULES: readonly CompiledRule[] = [];
const MAX_NEAREST = 256;

const ALLOWED = 1;
const DENIED = 2;
const AUDITED = 3;
const UNMATCHED = 4;
const NOT_DENIED = 5;
const AGREED = 6;
const REFUSED = 7;
const FAILED_OPEN = 8;
const FAILED_CLOSED = 9;
const WORDS: Readonly<Record<number, string>> = {
  [ALLOWED]: "allowed by",
  [DENIED]: "denied by",
  [AUDITED]: "met",
  [AGREED]: "allowed by the service of",
  [REFUSED]: "refused by the service of",
  [FAILED_OPEN]: "let pass, no answer from the service of",
  [FAILED_CLOSED]: "no answer from the service of",
};
