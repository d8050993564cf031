import { codecOf } from "../../contract/codec.ts";
import { SettingsUpdateSchema } from "../../contract/gen/weft/control/v1/settings.ts";
import { graysOf, withGrays } from "../../settings/effective-values.ts";
import { valueProblem } from "../../settings/json-value.ts";
import type { SettingsKeys } from "../../settings/sealed.ts";
import { settingsLimits } from "../../settings/settings-limits.ts";
import type {
  Json,
  SettingsConsumer,
  SettingsNamespace,
  SettingsSchema,
  SettingsState,
  SettingValue,
} from "../../settings/settings-state.ts";
import type { ContractStore } from "../contract-store.ts";
import type { SessionSettings } from "./session-settings.ts";
import { SettingsCheck } from "./settings-check.ts";

interface Delivered {
  readonly of: SettingsNamespace;
  readonly byGrays: Map<string, DeliveredValues>;
  /** JSON of the values before these. */
  readonly texts: readonly string[];
}

/** What a process expects of a namespace. */
export interface Expectation {
  readonly text: string;
  readonly schema: SettingsSchema;
}

/** Values of one namespace, as those get them who have the same gray releases. Immutable. */
export interface DeliveredValues {
  readonly revision: number;
  readonly values: Readonly<Record<string, SettingValue>>;
  readonly json: string;
  readonly grays: readonly string[];
  /** An encoded SettingsUpdate. */
  readonly bytes: Uint8Array;
}

/**
 * Who uses which namespace, and what each of them gets. What is the same for many is made and encoded once: a namespace without gray releases is encoded once for all, one with them
 * once for each combination that somebody has.
 */
export class SettingsCentre {
  readonly check: SettingsCheck;
  readonly #current: () => SettingsState;
  readonly #consumers = new Map<string, Set<SessionSettings>>();
  readonly #expectations = new Map<string, Expectation & { uses: number }>();
  /** What consumers of a namespace were told of last. */
  readonly #told = new Map<string, SettingsNamespace>();
  readonly #delivered = new Map<string, Delivered>();

  constructor(current: () => SettingsState, contracts: Pick<ContractStore, "all">, keys: SettingsKeys | null) {
    this.#current = current;
    this.check = new SettingsCheck(contracts, keys);
  }

  /** What a process says that it expects: one object for all who say the same, until each of them forgets it. Null: nothing, or nothing that can be read. */
  expectation(schema: string, message: string): Expectation | null {
    const text = message === "" ? schema : `message ${message}`;
    if (text === "") return null;
    let expectation = this.#expectations.get(text);
    if (expectation === undefined) {
      const read = message === "" ? readSchema(schema) : { kind: "proto" as const, message };
      if (read === null) return null;
      expectation = { text, schema: read, uses: 0 };
      this.#expectations.set(text, expectation);
    }
    expectation.uses++;
    return expectation;
  }

  forget({ text }: Expectation): void {
    const expectation = this.#expectations.get(text);
    if (expectation !== undefined && --expectation.uses === 0) this.#expectations.delete(text);
  }

  /** Who uses a namespace now. */
  consumersOf(namespace: string): Iterable<SessionSettings> {
    return this.#consumers.get(namespace) ?? [];
  }

  /** There is another revision: everybody is told whose values are others. */
  changed(): void {
    for (const [name, consumers] of this.#consumers) {
      const namespace = this.#namespace(name);
      // Most revisions change no settings, or those of others.
      if (this.#told.get(name) === namespace) continue;
      this.#told.set(name, namespace);
      for (const consumer of consumers) consumer.changed(name);
    }
  }

  follow(namespace: string, consumer: SessionSettings): void {
    let consumers = this.#consumers.get(namespace);
    if (consumers === undefined) this.#consumers.set(namespace, (consumers = new Set()));
    consumers.add(consumer);
  }

  unfollow(namespace: string, consumer: SessionSettings): void {
    const consumers = this.#consumers.get(namespace);
    consumers?.delete(consumer);
    if (consumers?.size !== 0) return;
    this.#consumers.delete(namespace);
    this.#delivered.delete(namespace);
    this.#told.delete(namespace);
  }

  #namespace(name: string): SettingsNamespace {
    const { namespaces } = this.#current();
    return Object.hasOwn(namespaces, name) ? namespaces[name] : NOTHING;
  }

  /** Whether a gray release of the namespace goes by what processes may change while they run. */
  choosesByTags(name: string): boolean {
    return this.#namespace(name).grays.some(({ to }) => to.tags !== undefined);
  }

  /** What a consumer gets of a namespace now. */
  valuesOf(name: string, consumer: SettingsConsumer): DeliveredValues {
    const namespace = this.#namespace(name);
    let delivered = this.#delivered.get(name);
    if (delivered === undefined || delivered.of !== namespace) {
      const texts = Array.from(delivered?.byGrays.values() ?? [], ({ json }) => json);
      delivered = { of: namespace, byGrays: new Map(), texts };
      this.#delivered.set(name, delivered);
    }
    const grays = graysOf(namespace, consumer);
    const key = grays.map(({ id }) => id).join();
    let values = delivered.byGrays.get(key);
    if (values === undefined) {
      values = deliver(name, namespace.revision, withGrays(namespace, grays), delivered.texts);
      delivered.byGrays.set(key, values);
    }
    return values;
  }
}

function readSchema(text: string): SettingsSchema | null {
  try {
    const schema = JSON.parse(text) as Json;
    return valueProblem(schema, settingsLimits.maxDepth) === "" ? { kind: "json", schema } : null;
  } catch {
    return null;
  }
}

/** Of a namespace in which nothing is set. */
const NOTHING: SettingsNamespace = { values: {}, schema: null, grays: [], revision: 0 };
const updates = codecOf(SettingsUpdateSchema);

function deliver(
  namespace: string,
  revision: number,
  { values, grays }: Pick<DeliveredValues, "values" | "grays">,
  texts: readonly string[],
): DeliveredValues {
  const text = JSON.stringify(values);
  // The very same string where it says the same, which thousands are then compared with at no cost.
  const json = texts.find((one) => one === text) ?? text;
  const bytes = updates.encode({ namespace, revision: BigInt(revision), json, grays: [...grays] });
  return { revision, values, json, grays, bytes };
}
