import { WeftError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import { checkSettingsState, selectorProblem } from "./check-state.ts";
import { canonicalJson, valueProblem } from "./json-value.ts";
import { keyProblem, namespaceProblem, settingsLimits } from "./settings-limits.ts";
import type {
  GrayRelease,
  GraySelector,
  Json,
  SettingEntry,
  SettingsNamespace,
  SettingsSchema,
  SettingsState,
  SettingValue,
} from "./settings-state.ts";

/** One change of a namespace. `expected`: the revision that must have changed the key last, 0 when there must be none. */
export type SettingsChange =
  | {
      readonly kind: "set";
      readonly namespace: string;
      readonly key: string;
      readonly value: SettingValue;
      readonly expected?: number;
    }
  | { readonly kind: "remove"; readonly namespace: string; readonly key: string; readonly expected?: number }
  | { readonly kind: "schema"; readonly namespace: string; readonly schema: SettingsSchema | null }
  /** `values`: null takes the key away. */
  | { readonly kind: "begin"; readonly namespace: string; readonly values: GrayValues; readonly to: GraySelector }
  /** `to`: who has it from now on; undefined: as before. `values`: those of its values that become others. */
  | {
      readonly kind: "widen";
      readonly namespace: string;
      readonly id: string;
      readonly to?: GraySelector;
      readonly values?: GrayValues;
    }
  | { readonly kind: "promote"; readonly namespace: string; readonly id: string }
  | { readonly kind: "end"; readonly namespace: string; readonly id: string };

type GrayValues = Readonly<Record<string, SettingValue | null>>;

/** What is noted beside what changes. */
export interface ChangeNote {
  /** The revision that the changes make. */
  readonly revision: number;
  readonly author: string;
  readonly reason: string;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/**
 * The state after all of the changes, one after the other; the same object when they change nothing. Throws `invalid_argument` (BAD_SETTINGS) that says everything that is wrong
 * with them, or `aborted` (STALE_SETTING) that says who changed meanwhile what was compared, and when. What they make is within the limits.
 */
export function changeSettings(
  state: SettingsState,
  changes: readonly SettingsChange[],
  note: ChangeNote,
): SettingsState {
  const problems: string[] = [];
  const stale: string[] = [];
  if (changes.length === 0) problems.push("nothing is to be changed");
  if (changes.length > settingsLimits.maxChanges)
    problems.push(
      `${changes.length} changes are more than the ${settingsLimits.maxChanges} that are published at once`,
    );
  const drafts = new Map<string, Draft>();
  for (const change of problems.length === 0 ? changes : []) {
    const { namespace } = change;
    const wrong = namespaceProblem(namespace);
    if (wrong !== "") {
      problems.push(`"${namespace.slice(0, 64)}": ${wrong}`);
      continue;
    }
    let draft = drafts.get(namespace);
    if (draft === undefined) {
      draft = new Draft(namespace, own(state.namespaces, namespace), note, Object.keys(state.namespaces));
      drafts.set(namespace, draft);
    }
    draft.apply(change, problems, stale);
  }
  const namespaces: Record<string, SettingsNamespace> = { ...state.namespaces };
  let changed = false;
  for (const [name, draft] of drafts) {
    if (!draft.changed) continue;
    changed = true;
    const made = draft.made();
    if (made === null) delete namespaces[name];
    else namespaces[name] = made;
  }
  const after = changed ? { namespaces } : state;
  if (problems.length === 0) problems.push(...checkSettingsState(after));
  if (problems.length > 0)
    throw new WeftError("invalid_argument", told([...problems, ...stale]), { reason: "BAD_SETTINGS" });
  if (stale.length > 0) throw new WeftError("aborted", told(stale), { reason: "STALE_SETTING" });
  return after;
}

/** One namespace while it changes. */
class Draft {
  readonly #name: string;
  readonly #note: ChangeNote;
  readonly #existing: readonly string[];
  readonly #values: Map<string, SettingEntry>;
  readonly #touched = new Set<string>();
  #schema: SettingsSchema | null;
  #grays: readonly GrayRelease[];
  readonly #before: SettingsNamespace | undefined;
  #changed = false;

  constructor(name: string, before: SettingsNamespace | undefined, note: ChangeNote, existing: readonly string[]) {
    this.#name = name;
    this.#before = before;
    this.#note = note;
    this.#existing = before === undefined ? existing : [];
    this.#values = new Map(Object.entries(before?.values ?? {}));
    this.#schema = before?.schema ?? null;
    this.#grays = before?.grays ?? [];
  }

  /** False also where what was begun was ended. */
  get changed(): boolean {
    if (!this.#changed) return false;
    const made = this.made();
    const { revision = 0 } = this.#before ?? {};
    const [after, before] = [made === null ? null : { ...made, revision }, this.#before ?? null];
    return canonicalJson(after as unknown as Json) !== canonicalJson(before as unknown as Json);
  }

  /** Null: nothing is left of it. */
  made(): SettingsNamespace | null {
    if (this.#values.size === 0 && this.#schema === null && this.#grays.length === 0) return null;
    const byKey = [...this.#values].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      values: Object.fromEntries(byKey),
      schema: this.#schema,
      grays: this.#grays,
      revision: this.#note.revision,
    };
  }

  apply(change: SettingsChange, problems: string[], stale: string[]): void {
    switch (change.kind) {
      case "set":
        return this.#set(change, problems, stale);
      case "remove":
        return this.#remove(change, problems, stale);
      case "schema": {
        const { schema } = change;
        const wrong = schema?.kind === "json" ? valueProblem(schema.schema, settingsLimits.maxDepth) : "";
        if (wrong !== "") return void problems.push(`${this.#name}: schema: ${wrong}`);
        if (canonicalJson(change.schema as Json) === canonicalJson(this.#schema as Json)) return;
        this.#schema = change.schema;
        this.#changed = true;
        return;
      }
      case "begin":
        return this.#begin(change, problems);
      default:
        return this.#gray(change, problems);
    }
  }

  #set(change: Extract<SettingsChange, { kind: "set" }>, problems: string[], stale: string[]): void {
    const { key, value, expected } = change;
    const at = `${this.#name}/${key.slice(0, 128)}`;
    const wrong = keyProblem(key) || valueProblem(value, settingsLimits.maxDepth) || this.#twice(key);
    if (wrong !== "") return void problems.push(`${at}: ${wrong}`);
    if (!this.#isExpected(key, expected, stale)) return;
    this.#put(key, value);
  }

  #remove(change: Extract<SettingsChange, { kind: "remove" }>, problems: string[], stale: string[]): void {
    const { key, expected } = change;
    const at = `${this.#name}/${key.slice(0, 128)}`;
    const wrong = keyProblem(key) || this.#twice(key);
    if (wrong !== "") return void problems.push(`${at}: ${wrong}`);
    if (!this.#isExpected(key, expected, stale)) return;
    if (this.#values.delete(key)) this.#changed = true;
    else if (expected === undefined) problems.push(`${at}: there is no such key${this.#meant(key)}`);
  }

  #begin(change: Extract<SettingsChange, { kind: "begin" }>, problems: string[]): void {
    const { values, to } = change;
    const at = `${this.#name}: a gray release`;
    const wrong = selectorProblem(to);
    if (wrong !== "") problems.push(`${at}: ${wrong}`);
    if (Object.keys(values).length === 0) problems.push(`${at} changes at least one value`);
    this.#checkGrayValues(values, (key) => this.#values.has(key), problems);
    const { revision, author, reason, nowMs } = this.#note;
    let id = `g-${revision}`;
    for (let n = 2; this.#grays.some((gray) => gray.id === id); n++) id = `g-${revision}-${n}`;
    this.#grays = [...this.#grays, { id, changes: { ...values }, to, author, reason, sinceMs: nowMs }];
    this.#changed = true;
  }

  /** Of one that is under way. */
  #gray(change: Extract<SettingsChange, { kind: "widen" | "promote" | "end" }>, problems: string[]): void {
    const { id } = change;
    const gray = this.#grays.find((one) => one.id === id);
    const at = `${this.#name}: gray release ${id.slice(0, 64)}`;
    if (gray === undefined) {
      const ids = this.#grays.map((one) => one.id);
      const known = ids.length === 0 ? "none is under way" : `those under way: ${ids.join(", ")}`;
      problems.push(
        `${at}: there is none; ${known}${this.#existing.length > 0 ? didYouMean(this.#name, this.#existing) : ""}`,
      );
      return;
    }
    if (change.kind === "widen") {
      const { to = gray.to, values = {} } = change;
      const wrong = selectorProblem(to);
      if (wrong !== "") problems.push(`${at}: ${wrong}`);
      const before = problems.length;
      this.#checkGrayValues(values, () => true, problems);
      for (const key of Object.keys(values))
        if (!Object.hasOwn(gray.changes, key))
          problems.push(`${at}: it does not change ${key.slice(0, 128)}${didYouMean(key, Object.keys(gray.changes))}`);
      if (problems.length > before) return;
      const next: GrayRelease = { ...gray, to, changes: { ...gray.changes, ...values } };
      if (canonicalJson(next as unknown as Json) === canonicalJson(gray as unknown as Json)) return;
      this.#grays = this.#grays.map((one) => (one === gray ? next : one));
    } else {
      this.#grays = this.#grays.filter((one) => one !== gray);
      if (change.kind === "promote")
        for (const [key, value] of Object.entries(gray.changes)) {
          if (value === null) this.#values.delete(key);
          else this.#put(key, value);
        }
    }
    this.#changed = true;
  }

  #checkGrayValues(values: GrayValues, known: (key: string) => boolean, problems: string[]): void {
    for (const [key, value] of Object.entries(values)) {
      let wrong = keyProblem(key);
      if (wrong === "" && value !== null) wrong = valueProblem(value, settingsLimits.maxDepth);
      if (wrong === "" && value === null && !known(key)) wrong = `there is no such key${this.#meant(key)}`;
      if (wrong !== "") problems.push(`${this.#name}/${key.slice(0, 128)}: ${wrong}`);
    }
  }

  #put(key: string, value: SettingValue): void {
    const before = this.#values.get(key);
    if (before !== undefined && canonicalJson(before.value) === canonicalJson(value)) return;
    const { revision, author, nowMs } = this.#note;
    this.#values.set(key, { value, revision, author, atMs: nowMs });
    this.#changed = true;
  }

  #twice(key: string): string {
    if (this.#touched.has(key)) return "it is changed twice";
    this.#touched.add(key);
    return "";
  }

  #isExpected(key: string, expected: number | undefined, stale: string[]): boolean {
    if (expected === undefined) return true;
    const entry = this.#values.get(key);
    if ((entry?.revision ?? 0) === expected) return true;
    const at = `${this.#name}/${key}`;
    stale.push(
      entry === undefined
        ? `${at} is not there any more (it was compared with revision ${expected}); look at it and try again`
        : `${at} was changed by ${entry.author || "somebody"} at ${new Date(entry.atMs).toISOString()} (revision ${entry.revision}` +
            `${expected === 0 ? ", and it was to be new" : `, compared with ${expected}`}); look at what it is now and try again`,
    );
    return false;
  }

  #meant(key: string): string {
    if (this.#values.size > 0) return didYouMean(key, this.#values.keys());
    return this.#existing.length > 0 ? didYouMean(this.#name, this.#existing) : "";
  }
}

function told(problems: readonly string[]): string {
  const shown = problems.slice(0, MAX_TOLD);
  if (problems.length > shown.length) shown.push(`and ${problems.length - shown.length} more`);
  return shown.join("\n");
}

const MAX_TOLD = 50;

function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
