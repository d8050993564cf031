import { WeftError } from "../core/errors.ts";
import { isRecord, valueProblem } from "./json-value.ts";
import { keyProblem, namespaceProblem, settingsLimits } from "./settings-limits.ts";
import type { GraySelector, SettingsNamespace, SettingsState } from "./settings-state.ts";

/** Reads what a revision holds of settings, which somebody may have written by hand. Throws `invalid_argument` (BAD_SETTINGS) that says everything that is wrong. */
export function parseSettingsState(json: string): SettingsState {
  let read: unknown;
  try {
    read = JSON.parse(json);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : "";
    throw new WeftError("invalid_argument", `the settings are no JSON: ${why}`, { reason: "BAD_SETTINGS", cause });
  }
  const problems = checkSettingsState(read as SettingsState);
  if (problems.length === 0) return read as SettingsState;
  throw new WeftError("invalid_argument", problems.slice(0, 50).join("\n"), { reason: "BAD_SETTINGS" });
}

/** Everything that is wrong with the shape of a state, or over its limits: a line each, naming the place. Namespaces that were found well are not looked at again. */
export function checkSettingsState(state: SettingsState): string[] {
  if (!isRecord(state) || !isRecord(state.namespaces)) return [SHAPE];
  const problems: string[] = [];
  const entries = Object.entries(state.namespaces);
  if (entries.length > settingsLimits.maxNamespaces)
    problems.push(`${entries.length} namespaces are more than the ${settingsLimits.maxNamespaces} that there may be`);
  let bytes = 0;
  for (const [name, namespace] of entries) {
    let size = isRecord(namespace) ? checked.get(namespace as SettingsNamespace) : undefined;
    if (size === undefined) {
      const wrong =
        namespaceProblem(name) === ""
          ? namespaceProblems(name, namespace)
          : [`"${name.slice(0, 64)}": ${namespaceProblem(name)}`];
      problems.push(...wrong);
      size = wrong.length > 0 ? 0 : Buffer.byteLength(JSON.stringify(namespace));
      if (size > settingsLimits.maxNamespaceBytes)
        problems.push(`${name}: it has ${size} bytes; a namespace has at most ${settingsLimits.maxNamespaceBytes}`);
      else if (wrong.length === 0) checked.set(namespace, size);
    }
    bytes += size;
  }
  if (bytes > settingsLimits.maxBytes)
    problems.push(`all settings together have ${bytes} bytes; at most ${settingsLimits.maxBytes} are kept`);
  return problems;
}

/** To the size of each. They are immutable. */
const checked = new WeakMap<SettingsNamespace, number>();

function namespaceProblems(name: string, namespace: unknown): string[] {
  if (
    !isRecord(namespace) ||
    !isRecord(namespace.values) ||
    !Array.isArray(namespace.grays) ||
    !isNumber(namespace.revision)
  )
    return [`${name}: it must be { values, schema, grays, revision }`];
  const problems: string[] = [];
  const { values, schema, grays } = namespace;
  const keys = Object.entries(values);
  if (keys.length > settingsLimits.maxKeys)
    problems.push(`${name}: ${keys.length} keys are more than the ${settingsLimits.maxKeys} that a namespace may have`);
  for (const [key, entry] of keys) {
    if (isRecord(entry) && isNumber(entry.revision) && isNumber(entry.atMs) && typeof entry.author === "string")
      problems.push(...valueProblems(name, key, entry.value));
    else problems.push(`${name}/${key.slice(0, 128)}: it must be { value, revision, author, atMs }`);
  }
  if (schema !== null && !isSchema(schema))
    problems.push(`${name}: its schema must be { kind: "json", schema }, { kind: "proto", message } or null`);
  else if (schema !== null && schemaProblem(schema) !== "")
    problems.push(`${name}: its schema: ${schemaProblem(schema)}`);
  else if (schema !== null && JSON.stringify(schema).length > settingsLimits.maxSchemaBytes)
    problems.push(`${name}: its schema is larger than ${settingsLimits.maxSchemaBytes} bytes`);
  if (grays.length > settingsLimits.maxGrays)
    problems.push(
      `${name}: ${grays.length} gray releases are more than the ${settingsLimits.maxGrays} that may be under way at once`,
    );
  const ids = new Set<unknown>();
  for (const gray of grays) {
    if (!isRecord(gray) || typeof gray.id !== "string" || !isRecord(gray.changes) || ids.has(gray.id)) {
      problems.push(
        `${name}: a gray release must be { id, changes, to, author, reason, sinceMs }, each with an id of its own`,
      );
      continue;
    }
    ids.add(gray.id);
    const wrong = selectorProblem(gray.to);
    if (wrong !== "") problems.push(`${name}: gray release ${gray.id.slice(0, 64)}: ${wrong}`);
    for (const [key, value] of Object.entries(gray.changes))
      if (value !== null) problems.push(...valueProblems(name, key, value));
  }
  return problems;
}

function valueProblems(name: string, key: string, value: unknown): string[] {
  const wrong = keyProblem(key) || valueProblem(value, settingsLimits.maxDepth);
  if (wrong !== "") return [`${name}/${key.slice(0, 128)}: ${wrong}`];
  const size = Buffer.byteLength(JSON.stringify(value));
  if (size <= settingsLimits.maxValueBytes) return [];
  return [`${name}/${key}: it has ${size} bytes; a value has at most ${settingsLimits.maxValueBytes}`];
}

/** What is wrong with whom a gray release is for; "" for nothing. */
export function selectorProblem(to: unknown): string {
  if (!isRecord(to)) return "it must say to whom";
  const { percent, instances, zones, labels, tags } = to as GraySelector;
  if ([percent, instances, zones, labels, tags].every((part) => part === undefined))
    return "it must say to whom: percent, instances, zones, labels or tags; what everybody is to have is set";
  if (percent !== undefined && !(typeof percent === "number" && percent >= 0 && percent <= 100))
    return `percent is 0 to 100, not ${String(percent).slice(0, 32)}`;
  for (const [what, list] of Object.entries({ instances, zones, tags })) {
    if (list === undefined) continue;
    if (!Array.isArray(list) || list.length === 0 || list.length > settingsLimits.maxSelected || !list.every(isName))
      return `${what} are 1 to ${settingsLimits.maxSelected} names`;
  }
  if (labels === undefined) return "";
  const entries = isRecord(labels) ? Object.entries(labels) : [];
  if (
    entries.length === 0 ||
    entries.length > settingsLimits.maxSelected ||
    !entries.every(([name, value]) => isName(name) && isName(value))
  )
    return `labels are 1 to ${settingsLimits.maxSelected} names with values`;
  return "";
}

function isSchema(schema: unknown): boolean {
  if (!isRecord(schema)) return false;
  if (schema.kind === "json") return isRecord(schema.schema) || typeof schema.schema === "boolean";
  return schema.kind === "proto" && typeof schema.message === "string" && MESSAGE.test(schema.message);
}

/** What keeps it from being JSON that is not nested too deep; "" for nothing. */
function schemaProblem(schema: unknown): string {
  return isRecord(schema) && schema.kind === "json" ? valueProblem(schema.schema, settingsLimits.maxDepth) : "";
}

function isName(name: unknown): boolean {
  return typeof name === "string" && name.length > 0 && name.length <= 253;
}

function isNumber(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

const SHAPE = 'the settings must be { "namespaces": { ... } }';
const MESSAGE = /^(?=.{1,256}$)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;
