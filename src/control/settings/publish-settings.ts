import { WeftError } from "../../core/errors.ts";
import { changeSettings, type SettingsChange } from "../../settings/change-settings.ts";
import type { SettingsNamespace, SettingsState } from "../../settings/settings-state.ts";
import type { Hub } from "../hub.ts";
import type { Published } from "../publication.ts";
import type { Expectation } from "./settings-centre.ts";
import { variantsOf } from "./settings-check.ts";

export interface SettingsPublication {
  readonly changes: readonly SettingsChange[];
  readonly author: string;
  readonly reason: string;
  /** The revision that must be the current one; undefined: whatever it is. */
  readonly expected?: number;
  readonly validateOnly: boolean;
}

/**
 * Publishes changes of settings as the next revision, when they are well formed, satisfy the schemas of their namespaces, and every process that uses these says by its schema that it can
 * take them. What was wrong before they came does not hold them up. Throws as changeSettings and Ledger.change.
 */
export async function publishSettings(
  { ledger, settings, clock }: Pick<Hub, "ledger" | "settings" | "clock">,
  publication: SettingsPublication,
): Promise<Published> {
  const { changes, ...options } = publication;
  const { author, reason } = options;
  const warnings: string[] = [];
  const published = await ledger.change(options, (state, revision) => {
    warnings.length = 0;
    const after = changeSettings(state, changes, { revision, author, reason, nowMs: clock.wallMs() });
    const problems: string[] = [];
    for (const [name, namespace] of changedNamespaces(state, after)) {
      const before = state.namespaces[name];
      const schemaIsNew = namespace.schema !== null && namespace.schema !== before?.schema;
      for (const line of settings.check.namespace(name, namespace)) {
        const { schema } = namespace;
        // Whoever registers the contract may be away for a while.
        if (schema?.kind === "proto" && !schemaIsNew && !settings.check.knows(schema.message)) warnings.push(line);
        else problems.push(line);
      }
    }
    if (problems.length === 0) problems.push(...refusals(settings, state, after, warnings));
    if (problems.length > 0)
      throw new WeftError("invalid_argument", problems.slice(0, MAX_TOLD).join("\n"), { reason: "BAD_SETTINGS" });
    warnings.push(...hidden(changes, after));
    return after;
  });
  return { ...published, warnings: [...published.warnings, ...warnings] };
}

/** What processes that are attached here say that they could not take, by the schemas that they sent, as far as they could before. */
function refusals(centre: Hub["settings"], before: SettingsState, after: SettingsState, warnings: string[]): string[] {
  const { check } = centre;
  const problems: string[] = [];
  const until = performance.now() + MAX_CHECKS_MS;
  for (const [name, namespace] of changedNamespaces(before, after)) {
    const asked = new Set<Expectation>();
    for (const consumer of centre.consumersOf(name)) {
      const { facts } = consumer;
      const said = consumer.namespace(name)?.expects ?? null;
      if (said === null || asked.has(said)) continue;
      asked.add(said);
      const expects = said.schema;
      if (expects.kind === "proto" && !check.knows(expects.message)) continue;
      if (performance.now() > until) {
        warnings.push(`${name}: checking by what its consumers expect took too long; some were left out`);
        break;
      }
      const had = Object.hasOwn(before.namespaces, name) ? before.namespaces[name] : null;
      const known = had === null ? null : problemsOf(check, name, had, expects);
      for (const [problem, evaluated] of problemsOf(check, name, namespace, expects)) {
        const what = problem.startsWith(":") ? `${name}${problem}` : `${name}/${problem}`;
        const line = `process ${facts.process()} of ${facts.service() || "no service"} expects otherwise: ${what}`;
        // A schema that cannot be evaluated at all is its process's own trouble.
        if (known?.has(problem) || !evaluated) warnings.push(line);
        else problems.push(line);
      }
    }
  }
  return problems;
}

/** Each with whether the schema could be evaluated. */
function problemsOf(
  check: Hub["settings"]["check"],
  name: string,
  namespace: SettingsNamespace,
  expects: NonNullable<SettingsNamespace["schema"]>,
): Map<string, boolean> {
  const found = new Map<string, boolean>();
  for (const { values } of variantsOf(namespace)) {
    const { problems, evaluated } = check.evaluate(name, values, expects);
    for (const problem of problems) found.set(problem, evaluated);
  }
  return found;
}

/** What is set for everybody while some get another value by a gray release. */
function hidden(changes: readonly SettingsChange[], { namespaces }: SettingsState): string[] {
  const changed = new Set(changes.map((change) => (change.kind === "widen" ? `${change.namespace} ${change.id}` : "")));
  return changes.flatMap(({ kind, namespace, ...change }) => {
    if ((kind !== "set" && kind !== "remove") || !("key" in change)) return [];
    const grays = Object.hasOwn(namespaces, namespace) ? namespaces[namespace].grays : [];
    return grays
      .filter(({ id, changes: values }) => Object.hasOwn(values, change.key) && !changed.has(`${namespace} ${id}`))
      .map(
        ({ id }) =>
          `${namespace}/${change.key}: those who have gray release ${id} go on with its value until it is promoted or ended`,
      );
  });
}

/** What is in a state that was not in another. */
function* changedNamespaces(before: SettingsState, after: SettingsState): Generator<[string, SettingsNamespace]> {
  for (const [name, namespace] of Object.entries(after.namespaces))
    if (before.namespaces[name] !== namespace) yield [name, namespace];
  for (const name of Object.keys(before.namespaces))
    if (!Object.hasOwn(after.namespaces, name)) yield [name, { values: {}, schema: null, grays: [], revision: 0 }];
}

const MAX_TOLD = 50;
/** A process may send what it likes as a schema. */
const MAX_CHECKS_MS = 1_000;
