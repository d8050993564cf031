import type { Json, SealedValue, SettingValue } from "./settings-state.ts";

/** Whether a value is `{ $sealed }`: encrypted by the command line (sealed.ts). What it holds may still be none. */
export function isSealed(value: unknown): value is SealedValue {
  if (!isRecord(value)) return false;
  const names = Object.keys(value);
  return names.length === 1 && names[0] === SEALED && typeof value.$sealed === "string";
}

/** What keeps a value from being one, for people; "" for nothing. `maxDepth`: how deep it may be nested. */
export function valueProblem(value: unknown, maxDepth: number): string {
  if (isSealed(value))
    return SEALED_FORM.test(value.$sealed) ? "" : "it is no sealed value: weft settings set --seal makes them";
  return jsonProblem(value, maxDepth);
}

function jsonProblem(value: unknown, depth: number): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") return "";
  if (typeof value === "number") return Number.isFinite(value) ? "" : "JSON has no such number";
  if (typeof value !== "object") return `JSON has no ${typeof value}`;
  if (depth === 0) return "it is nested too deep";
  if (!Array.isArray(value) && Object.hasOwn(value, SEALED))
    return `only a whole value can be sealed: ${SEALED} stands inside of one`;
  // Whoever merges it with other objects would change what all objects have.
  if (!Array.isArray(value) && Object.hasOwn(value, "__proto__")) return "no name in it may be __proto__";
  for (const item of Array.isArray(value) ? value : Object.values(value)) {
    const problem = jsonProblem(item, depth - 1);
    if (problem !== "") return problem;
  }
  return "";
}

/** The same value as JSON, whatever order its names came in. */
export function canonicalJson(value: Json | SettingValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isRecord(value)) return JSON.stringify(value);
  const names = Object.keys(value)
    .filter((name) => value[name] !== undefined)
    .sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name] as Json)}`).join(",")}}`;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const SEALED = "$sealed";
const SEALED_FORM = /^[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{22,}$/;
