import { parseContractSet } from "../../contract/contract-set.ts";
import { messageFromJson } from "../../contract/json.ts";
import type { DescMessage, FileRegistry } from "../../contract/runtime.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { didYouMean } from "../../core/suggest.ts";
import { checkSettingsState } from "../../settings/check-state.ts";
import { type EffectiveValues, withGrays } from "../../settings/effective-values.ts";
import { formatProblem, JsonSchema } from "../../settings/json-schema.ts";
import { isSealed } from "../../settings/json-value.ts";
import type { SettingsKeys } from "../../settings/sealed.ts";
import type {
  Json,
  SettingsNamespace,
  SettingsSchema,
  SettingsState,
  SettingValue,
} from "../../settings/settings-state.ts";
import type { ContractStore, StoredContract } from "../contract-store.ts";

/**
 * Checks settings before they are published: their shape and limits, and each namespace against its schema, as everybody has it, with each gray release alone, and with all of
 * them. What stands as it was checked before is not looked at again.
 */
export class SettingsCheck {
  readonly #contracts: Pick<ContractStore, "all">;
  /** Null: sealed values are checked by those who can read them. */
  readonly #keys: SettingsKeys | null;
  readonly #checked = new WeakSet<SettingsNamespace>();
  readonly #schemas = new Map<string, JsonSchema>();
  readonly #registries = new WeakMap<StoredContract, FileRegistry>();

  constructor(contracts: Pick<ContractStore, "all">, keys: SettingsKeys | null) {
    this.#contracts = contracts;
    this.#keys = keys;
  }

  /**
   * Of a whole state, however it came to be. Throws `invalid_argument` (BAD_SETTINGS) that says everything that is wrong. Warnings: what cannot be checked here, or does not fit a contract that is
   * another one by now.
   */
  readonly state = (state: SettingsState): readonly string[] => {
    const problems = checkSettingsState(state);
    const warnings: string[] = [];
    for (const [name, namespace] of problems.length === 0 ? Object.entries(state.namespaces) : []) {
      if (namespace.schema?.kind === "proto") warnings.push(...this.namespace(name, namespace));
      else if (!this.#checked.has(namespace)) {
        const wrong = this.namespace(name, namespace);
        if (wrong.length === 0) this.#checked.add(namespace);
        problems.push(...wrong);
      }
    }
    if (problems.length === 0) return warnings;
    throw new WeftError("invalid_argument", problems.slice(0, MAX_TOLD).join("\n"), { reason: "BAD_SETTINGS" });
  };

  /** What its own schema does not allow, a line each. */
  namespace(name: string, namespace: SettingsNamespace): string[] {
    const { schema } = namespace;
    if (schema === null) return [];
    const problems = new Set<string>();
    for (const { values, grays } of variantsOf(namespace)) {
      const of = grays.length === 0 ? "" : ` with ${grays.join(", ")}`;
      for (const problem of this.problems(name, values, schema)) {
        const line = problem.startsWith(":") ? `${name}${problem}` : `${name}/${problem}`;
        // What is wrong for everybody is not said again of those with a gray release.
        if (!problems.has(line)) problems.add(`${line}${of}`);
      }
    }
    return [...problems];
  }

  /** What a schema does not allow: "maxItems: must be a number" each, or ": ..." of the whole. */
  problems(name: string, values: Readonly<Record<string, SettingValue>>, schema: SettingsSchema): readonly string[] {
    return this.evaluate(name, values, schema).problems;
  }

  /** The same; `evaluated`: false where the schema itself cannot be used (it is none, or takes too long), and its problem says why. */
  evaluate(name: string, values: Readonly<Record<string, SettingValue>>, schema: SettingsSchema): Evaluation {
    const { open, sealed } = this.#open(name, values);
    const own = Object.keys(values).filter((key) => isSealed(values[key]));
    if (schema.kind === "proto")
      return { problems: this.#message(schema.message, open, sealed, own), evaluated: this.knows(schema.message) };
    try {
      const problems = this.#schema(schema.schema)
        .problems(open, sealed)
        .map((problem) => {
          // A message may show a part of the value. Keys may have dots.
          const key = own.find((one) => /^(?:$|[.[])/.test(startsAfter(problem.path, one) ?? "-"));
          if (key !== undefined && problem.message !== "is missing")
            return `${key}: its sealed value does not fit the schema`;
          return problem.path === "" ? `: ${problem.message}` : formatProblem(problem);
        });
      return { problems, evaluated: true };
    } catch (thrown) {
      return { problems: [`: ${toWeftError(thrown).message}`], evaluated: false };
    }
  }

  /** Whether a message is known here. */
  knows(message: string): boolean {
    return this.#descOf(message) !== undefined;
  }

  /** Values as far as they can be read here. */
  #open(
    name: string,
    values: Readonly<Record<string, SettingValue>>,
  ): { open: Record<string, Json>; sealed: Set<string> } {
    const open: Record<string, Json> = {};
    const sealed = new Set<string>();
    for (const [key, value] of Object.entries(values)) {
      open[key] = value as Json;
      if (!isSealed(value)) continue;
      try {
        if (this.#keys === null) throw new Error("no keys");
        open[key] = this.#keys.unseal(name, key, value);
      } catch {
        sealed.add(key);
      }
    }
    return { open, sealed };
  }

  #message(message: string, open: Record<string, Json>, sealed: ReadonlySet<string>, own: readonly string[]): string[] {
    const desc = this.#descOf(message);
    if (desc === undefined)
      return [
        `: no service registers a contract with the message ${message}${didYouMean(message, this.#messageNames())}`,
      ];
    const problem = (left: Iterable<string>): string => {
      const out = new Set([...sealed, ...left]);
      try {
        messageFromJson(desc, Object.fromEntries(Object.entries(open).filter(([key]) => !out.has(key))) as never);
        return "";
      } catch (thrown) {
        const { message: text, place } = toWeftError(thrown);
        return place?.field ? text : `: ${text}`;
      }
    };
    // A message may show the value, so what is said is said without those that were sealed.
    const others = problem(own);
    if (others !== "") return [others];
    return own
      .filter((key) => problem(own.filter((one) => one !== key)) !== "")
      .map((key) => `${key}: its sealed value does not fit the message ${message}`);
  }

  #schema(schema: Json): JsonSchema {
    const text = JSON.stringify(schema);
    let made = this.#schemas.get(text);
    if (made === undefined) {
      made = new JsonSchema(schema);
      if (this.#schemas.size >= MAX_SCHEMAS) this.#schemas.clear();
      this.#schemas.set(text, made);
    }
    return made;
  }

  #descOf(message: string): DescMessage | undefined {
    for (const contract of this.#contracts.all()) {
      const desc = this.#registryOf(contract).getMessage(message);
      if (desc !== undefined) return desc;
    }
    return undefined;
  }

  *#messageNames(): Generator<string> {
    for (const contract of this.#contracts.all())
      for (const type of this.#registryOf(contract)) if (type.kind === "message") yield type.typeName;
  }

  #registryOf(contract: StoredContract): FileRegistry {
    let registry = this.#registries.get(contract);
    if (registry === undefined) {
      registry = parseContractSet(contract.descriptors, contract.contracts).registry;
      this.#registries.set(contract, registry);
    }
    return registry;
  }
}

interface Evaluation {
  readonly problems: readonly string[];
  readonly evaluated: boolean;
}

/** What comes after a prefix; undefined where it is none. */
function startsAfter(text: string, prefix: string): string | undefined {
  return text.startsWith(prefix) ? text.slice(prefix.length) : undefined;
}

/** What consumers of a namespace may see: everybody's values, those with one gray release, those with all of them. */
export function variantsOf(namespace: SettingsNamespace): EffectiveValues[] {
  const { grays } = namespace;
  const variants = [withGrays(namespace, []), ...grays.map((gray) => withGrays(namespace, [gray]))];
  if (grays.length > 1) variants.push(withGrays(namespace, grays));
  return variants;
}

const MAX_TOLD = 50;
const MAX_SCHEMAS = 256;
