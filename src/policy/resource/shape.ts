import { didYouMean } from "../../core/suggest.ts";
import { DURATION_PATTERN, parseDuration } from "./duration.ts";
import type { JsonSchema } from "./json-schema.ts";

/** Checks a value of unknown origin; tells `report` everything that is wrong in it, with the path to where it is. */
export interface Check {
  (value: unknown, path: FieldPath, report: Report): void;
  /** What the check accepts, as a JSON Schema; it may accept more, never less. Absent: anything. */
  readonly schema?: JsonSchema;
}
export type Report = (path: FieldPath, message: string) => void;
export type FieldPath = readonly (string | number)[];

/** Gives a new check the schema that says the same to editors; it is made when somebody asks for it, once. */
export function described(check: Check, schema: () => JsonSchema): Check {
  let made: JsonSchema | null = null;
  return Object.defineProperty(check, "schema", { get: () => (made ??= schema()), enumerable: true });
}

/** An object with these fields and no others; `required` ones must be there. `also` looks at the whole when its fields are right. */
export function object(
  fields: Readonly<Record<string, Check>>,
  required: readonly string[] = [],
  also: Check = () => {},
): Check {
  const names = Object.keys(fields);
  const check: Check = (value, path, report) => {
    if (!isObject(value)) {
      report(path, `must be an object, is ${kindOf(value)}`);
      return;
    }
    let wrong = false;
    const tell: Report = (at, message) => {
      wrong = true;
      report(at, message);
    };
    for (const [name, field] of Object.entries(value)) {
      const at = [...path, name];
      if (!Object.hasOwn(fields, name)) {
        const near = didYouMean(name, names);
        tell(at, `unknown field${near === "" ? `; the fields here are ${names.join(", ")}` : near}`);
      } else if (field !== undefined) fields[name](field, at, tell);
    }
    for (const name of required) if (value[name] === undefined) tell(path, `"${name}" is missing`);
    if (!wrong) also(value, path, report);
  };
  return described(check, () => ({
    type: "object",
    properties: Object.fromEntries(names.map((name) => [name, fields[name].schema ?? {}])),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  }));
}

export function list(of: Check, min = 0, max = 1_024): Check {
  const check: Check = (value, path, report) => {
    if (!Array.isArray(value)) return report(path, `must be a list, is ${kindOf(value)}`);
    if (value.length < min) report(path, `must have at least ${min} element${min === 1 ? "" : "s"}`);
    if (value.length > max) return report(path, `has ${value.length} elements; at most ${max} are allowed`);
    value.forEach((element, i) => {
      of(element, [...path, i], report);
    });
  };
  return described(check, () => ({
    type: "array",
    items: of.schema ?? {},
    ...(min === 0 ? {} : { minItems: min }),
    maxItems: max,
  }));
}

/** `what` completes "must be ...". */
export function text(what = "a string", pattern = /(?:)/, max = 1_024): Check {
  const check: Check = (value, path, report) => {
    if (typeof value !== "string") report(path, `must be ${what}, is ${kindOf(value)}`);
    else if (value.length > max) report(path, `is longer than ${max} characters`);
    else if (!pattern.test(value)) report(path, `must be ${what}, is ${shown(value)}`);
  };
  return described(check, () => ({
    type: "string",
    ...(what === "a string" ? {} : { description: what }),
    // A schema's pattern has no flags.
    ...(pattern.source === "(?:)" || /[ism]/.test(pattern.flags) ? {} : { pattern: pattern.source }),
    maxLength: max,
  }));
}

export function oneOf(words: readonly string[]): Check {
  const check: Check = (value, path, report) => {
    if (typeof value === "string" && words.includes(value)) return;
    report(
      path,
      `must be ${words.join(" or ")}, is ${shown(value)}${typeof value === "string" ? didYouMean(value, words) : ""}`,
    );
  };
  return described(check, () => ({ enum: words }));
}

/** A number from `min` to `max`, whole when `whole`. */
export function number(min: number, max: number, whole: boolean): Check {
  const check: Check = (value, path, report) => {
    const right = typeof value === "number" && value >= min && value <= max && (!whole || Number.isInteger(value));
    if (!right) {
      const given = typeof value === "number" ? String(value) : kindOf(value);
      report(path, `must be a ${whole ? "whole " : ""}number from ${min} to ${max}, is ${given}`);
    }
  };
  return described(check, () => ({ type: whole ? "integer" : "number", minimum: min, maximum: max }));
}

export const bool: Check = described(
  (value, path, report) => {
    if (typeof value !== "boolean") report(path, `must be true or false, is ${kindOf(value)}`);
  },
  () => ({ type: "boolean" }),
);

/** `zero`: "0s" is allowed. */
export function duration(zero: boolean): Check {
  const check: Check = (value, path, report) => {
    if (typeof value === "number") return report(path, `needs a unit: "${value}ms" or "${value}s"`);
    const ms = typeof value === "string" ? parseDuration(value) : undefined;
    if (ms === undefined) {
      report(path, `must be a duration such as "800ms", "1.5s" or "2m", is ${shown(value)}`);
    } else if (ms === 0 && !zero) report(path, "must be longer than 0");
  };
  return described(check, () => ({
    type: "string",
    description: `a duration: "800ms", "1.5s", "2m", "1h30m"${zero ? '; "0s" is none' : ""}`,
    pattern: DURATION_PATTERN.source,
    maxLength: 32,
  }));
}

export const anything: Check = () => {};

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "undefined" ? "missing" : `a ${typeof value} (${shown(value)})`;
}

/** A value of unknown origin as a message shows it: whole when it is short. */
export function shown(value: unknown): string {
  if (typeof value === "string" && value.length > MAX_SHOWN) return `${JSON.stringify(value.slice(0, MAX_SHOWN))}...`;
  return typeof value === "object" ? kindOf(value) : (JSON.stringify(value) ?? "missing");
}

/** How deep a value is nested, up to `most`. Without recursion, which a hostile value could exhaust. */
export function depthOf(value: unknown, most: number): number {
  let level: unknown[] = [value];
  for (let depth = 0; depth < most; depth++) {
    const below: unknown[] = [];
    for (const one of level) {
      if (typeof one !== "object" || one === null) continue;
      for (const child of Array.isArray(one) ? one : Object.values(one))
        if (typeof child === "object") below.push(child);
    }
    if (below.length === 0) return depth;
    if (below.length > MAX_WIDTH) return most; // of shared parts, too
    level = below;
  }
  return most;
}

const MAX_SHOWN = 200;
const MAX_WIDTH = 1_000_000;
