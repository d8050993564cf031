import type { Place as FilePlace } from "../core/errors.ts";
import { AttemptKind } from "../policy/decision/attempt-kind.ts";
import type { CallDecision } from "../policy/decision/decision.ts";
import type { GateNote } from "../policy/decision/gate-note.ts";
import type { Gate } from "../policy/machine/gate.ts";
import type { ResourceDocument } from "../policy/resource/resource-document.ts";
import type { GRPCRoute, HTTPRoute, Resource } from "../policy/resource/resources.ts";
import type { FieldPath } from "../policy/resource/shape.ts";
import { routeEntries } from "../policy/route/route-entries.ts";
import { backendName, type Rule } from "../policy/route/rule.ts";
import { POLICY_FIELD_NAMES } from "../policy/snapshot/policy-fields.ts";
import type { Binding, Plan } from "../policy/snapshot/snapshot.ts";

/** One thing that a resource says, which tests may have exercised or not. */
export interface CoveredRule {
  /** "TrafficPolicy/payments#timeout acts": unique, and what `except` names. */
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  /** Of the resource: a route's rule and backend, a policy's field, an authorization's rule; "acts" where it did what it is for. */
  readonly rule: string;
  /** Where it is written, when it was read from a file. */
  readonly file?: string;
  readonly line?: number;
}

export interface Coverage {
  readonly exercised: readonly CoveredRule[];
  /** What no call has met, in the order of the resources. */
  readonly never: readonly CoveredRule[];
}

/**
 * Which rules calls have met and which have acted: a time-out that no call ran into, a limit that refused nothing, a deny rule that denied nobody say nothing
 * about whether they are right. Marks are set by the calls' decisions as they end.
 */
export class CoverageRecorder {
  readonly #marks = new Set<string>();
  /** Plans and bindings whose marks are set already. */
  readonly #seen = new WeakSet<Plan | Binding>();
  /** What of each gate's notes has set its marks. */
  readonly #notes = new WeakMap<Gate, Set<string>>();

  record(decision: CallDecision): void {
    const { plan, binding } = decision;
    if (plan === null) return;
    if (!this.#seen.has(plan)) this.#sawPlan(plan);
    if (decision.noted > 0) for (const note of decision.notes) this.#sawNote(note);
    if (binding === null) return;
    if (!this.#seen.has(binding)) this.#sawBinding(plan, binding);
    if (decision.attempts.length !== 1 || decision.failed || decision.fallback !== "" || decision.hedgeAfterMs >= 0) {
      this.#sawActing(decision, binding);
    }
  }

  #sawPlan(plan: Plan): void {
    this.#seen.add(plan);
    const { rule } = plan;
    if (rule.route === "") return;
    this.#marks.add(`${rule.route}#${keyOf(rule)}`);
  }

  #sawBinding(plan: Plan, binding: Binding): void {
    this.#seen.add(binding);
    const { rule } = plan;
    if (rule.route !== "") this.#marks.add(`${rule.route}#${keyOf(rule)} -> ${binding.name}`);
    for (const field of POLICY_FIELD_NAMES) this.#mark(binding.policy.sources[field], field, "");
  }

  #sawActing(decision: CallDecision, binding: Binding): void {
    const { sources } = binding.policy;
    const acts = (field: (typeof POLICY_FIELD_NAMES)[number]): void => this.#mark(sources[field], field, " acts");
    const { reason } = decision.outcome;
    if (reason === "DEADLINE_EXCEEDED" && !decision.deadlineOfCaller && decision.idleMs === 0) acts("timeout");
    if (decision.idleMs > 0) acts("idleTimeout");
    if (decision.breakerRefused) acts("breaker");
    if (decision.noEndpoint === "overflow") acts("limits");
    if (decision.fallback !== "" || decision.standby !== "") acts("fallback");
    for (const attempt of decision.attempts) {
      if (attempt.kind === AttemptKind.retry) acts("retry");
      else if (attempt.kind === AttemptKind.hedge) acts("hedge");
      if (attempt.outcome === "timeout" && attempt.durationMs >= binding.policy.perTryTimeout) acts("perTryTimeout");
    }
  }

  #sawNote(note: GateNote): void {
    const { gate, verdict, code, detail, text } = note;
    if (gate === null) return;
    const label = gate.rule === "authorize" ? (detail as { label?: unknown } | null)?.label : undefined;
    const what = `${verdict} ${code} ${gate.rule === "authenticate" ? text : typeof label === "string" ? label : ""}`;
    let known = this.#notes.get(gate);
    if (known === undefined) this.#notes.set(gate, (known = new Set()));
    if (known.has(what)) return;
    known.add(what);
    const acted = gate.rule === "fault" ? note.code > 0 && note.code < 16 : verdict !== "ok" && verdict !== "skipped";
    for (const source of gate.source.split(", ")) {
      const field = source.startsWith("TrafficPolicy ") ? gate.rule : "";
      this.#mark(source, field, "");
      if (acted) this.#mark(source, field, " acts");
      if (gate.rule === "authenticate" && text !== "") this.#mark(source, text, "");
    }
    if (typeof label === "string")
      this.#marks.add(`${idOf(label.split(", rule ")[0])}#rule ${label.split(", rule ")[1]}`);
  }

  #mark(source: string | undefined, rule: string, acts: string): void {
    if (source === undefined || source === "") return;
    this.#marks.add(`${idOf(source)}${rule === "" && acts === "" ? "" : `#${`${rule}${acts}`.trim()}`}`);
  }

  /** `documents`: where resources were read from. */
  report(resources: readonly Resource[], documents: ReadonlyMap<Resource, ResourceDocument>): Coverage {
    const exercised: CoveredRule[] = [];
    const never: CoveredRule[] = [];
    for (const resource of resources) {
      const { kind, metadata } = resource;
      const document = documents.get(resource);
      for (const { rule, path, marks } of rulesOf(resource)) {
        const place: FilePlace = document?.placeOf(path) ?? {};
        const id = `${kind}/${metadata.name}${rule === "" ? "" : `#${rule}`}`;
        const { file, line } = place;
        const where = { ...(file === undefined ? {} : { file }), ...(line === undefined ? {} : { line }) };
        const found = marks.some((mark) => this.#marks.has(`${kind}/${metadata.name}${mark === "" ? "" : `#${mark}`}`));
        (found ? exercised : never).push({ id, kind, name: metadata.name, rule, ...where });
      }
    }
    return { exercised, never };
  }
}

interface Countable {
  readonly rule: string;
  readonly path: FieldPath;
  /** Any of them. */
  readonly marks: readonly string[];
}

/** What can be exercised of a resource. */
function rulesOf(resource: Resource): Countable[] {
  const all: Countable[] = [];
  const add = (rule: string, path: FieldPath, ...marks: string[]): void => {
    all.push({ rule, path, marks: marks.length === 0 ? [rule] : marks });
  };
  switch (resource.kind) {
    case "HTTPRoute":
    case "GRPCRoute":
      addRoute(resource, add);
      break;
    case "TrafficPolicy":
      for (const field of POLICY_FIELD_NAMES) {
        if (resource.spec[field] === undefined) continue;
        const path = ["spec", field];
        add(field, path);
        if (ACTING.has(field) && !isOff(resource.spec[field])) add(`${field} acts`, path);
      }
      break;
    case "RateLimit":
      add("", []);
      add("acts", ["spec"]);
      break;
    case "Authentication":
      resource.spec.providers.forEach((provider, i) => {
        const path = ["spec", "providers", i];
        const name = provider.use?.split(":")[1] ?? provider.name ?? resource.metadata.name;
        const way = provider.use?.split(":")[0] ?? WAYS.find((each) => each in provider) ?? "";
        add(`provider ${name}`, path, name, `${way}:${name}`);
      });
      add("acts", ["spec"]);
      break;
    case "Authorization":
      resource.spec.rules?.forEach(({ name }, i) => {
        add(`rule ${name ?? i + 1}`, ["spec", "rules", i]);
      });
      if (resource.spec.default === "deny" || resource.spec.rules?.some(({ action }) => action === "allow"))
        add("acts", ["spec"]);
      break;
    default: // no call meets it by itself
  }
  return all;
}

function addRoute(
  route: HTTPRoute | GRPCRoute,
  add: (rule: string, path: FieldPath, ...marks: string[]) => void,
): void {
  const rules = new Set(routeEntries(route, 0).map(({ target }) => target.rule));
  [...rules].forEach((rule, i) => {
    const path = ["spec", "rules", i];
    const label = rule.name === "" ? `rule ${i + 1}` : rule.name;
    const key = keyOf(rule);
    add(label, path, key);
    if (rule.backends.length < 2) return;
    rule.backends.forEach((backend, at) => {
      const name = backendName(backend);
      if (backend.weight > 0) add(`${label} -> ${name}`, [...path, "backendRefs", at], `${key} -> ${name}`);
    });
  });
}

/** A rule without a name is known by its words; of several with the same words one stands for all. */
function keyOf({ name, text }: Rule): string {
  return name === "" ? text : name;
}

function isOff(spec: unknown): boolean {
  if (spec === "0s") return true;
  return typeof spec === "object" && spec !== null && (spec as { enabled?: unknown }).enabled === false;
}

/** "TrafficPolicy payments" is TrafficPolicy/payments. */
function idOf(source: string): string {
  return source.replace(" ", "/");
}

/** Fields that do something only at times; the others act by being met. */
const ACTING: ReadonlySet<string> = new Set([
  "timeout",
  "perTryTimeout",
  "idleTimeout",
  "retry",
  "hedge",
  "breaker",
  "limits",
  "fallback",
  "fault",
  "admission",
  "concurrency",
  "cache",
]);
const WAYS = ["jwt", "apiKey", "hmac", "basic", "mtls", "oidc"] as const;
