import { createRequire } from "node:module";
import { createContext, Script } from "node:vm";
import type { dereference, OutputUnit, Schema, validate } from "@cfworker/json-schema";
import { WeftError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import { isRecord } from "./json-value.ts";
import { schemaProblems } from "./schema-keywords.ts";
import type { Json, SettingValue } from "./settings-state.ts";

/** One thing about the values of a namespace that their schema does not allow. */
export interface ValueProblem {
  /** "limits.perMinute", "hosts[2]"; "" of the whole. */
  readonly path: string;
  /** "must be a number, not a string" */
  readonly message: string;
}

/**
 * A JSON Schema (draft 2020-12) by which values are checked. It may come from another process: it is interpreted, never made code of, and one check takes at most 250 ms, whatever its
 * regular expressions and alternatives are.
 */
export class JsonSchema {
  readonly schema: Json;
  readonly #resolved: Schema;
  readonly #lookup: Record<string, Schema | boolean>;

  /** Throws `invalid_argument` (BAD_SCHEMA) that says everything that is wrong with it. */
  constructor(schema: Json) {
    const problems = schemaProblems(schema);
    if (problems.length > 0) throw badSchema(problems.join("\n"));
    this.schema = schema;
    this.#resolved = structuredClone(typeof schema === "boolean" ? (schema ? {} : { not: {} }) : schema) as Schema;
    try {
      this.#lookup = evaluator().dereference(this.#resolved);
    } catch (cause) {
      throw badSchema((cause as Error).message, cause);
    }
    for (const one of Object.values(this.#lookup)) {
      if (!isRecord(one) || one.$ref === undefined) continue;
      const { __absolute_ref__: target } = one as { __absolute_ref__?: string };
      if (!(String(target ?? one.$ref) in this.#lookup)) throw badSchema(`schema: ${String(one.$ref)} leads nowhere`);
    }
  }

  /**
   * What the values may not be; [] for nothing. `sealed`: keys whose values cannot be read here: what is said of them is left out. Throws `invalid_argument` (BAD_SCHEMA) when the schema cannot
   * be evaluated, or not in time.
   */
  problems(values: Readonly<Record<string, SettingValue>>, sealed: ReadonlySet<string> = NONE): ValueProblem[] {
    let units: readonly OutputUnit[];
    try {
      units = inTime(() => evaluator().validate(values, this.#resolved, "2020-12", this.#lookup, false).errors);
    } catch (cause) {
      const slow = (cause as { code?: string }).code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
      throw badSchema(
        slow ? `values take longer than ${MAX_CHECK_MS} ms to be checked by it` : (cause as Error).message,
        cause,
      );
    }
    const found = new Map<string, ValueProblem>();
    for (const [i, unit] of units.entries()) {
      // Of a part that does not fit, what is wrong within comes after it.
      if (OUTER.has(unit.keyword) && isWithin(units[i + 1], unit)) continue;
      const parts = partsOf(unit.instanceLocation);
      if (parts.length > 0 && sealed.has(parts[0])) continue;
      const problem = problemOf(unit, parts, this.schema);
      found.set(`${problem.path} ${problem.message}`, problem);
    }
    return [...found.values()];
  }

  /** The values with the schema's defaults where there are none: of properties, also within properties that are objects. */
  withDefaults(values: Readonly<Record<string, Json>>): Record<string, Json> {
    return defaults(this.schema, this.schema, values) as Record<string, Json>;
  }
}

/** "maxItems: must be a number" */
export function formatProblem({ path, message }: ValueProblem): string {
  return path === "" ? message : `${path}: ${message}`;
}

interface Evaluator {
  readonly validate: typeof validate;
  readonly dereference: typeof dereference;
}

let loaded: Evaluator | null = null;

/** Loaded by who first has a schema: most processes have none. */
function evaluator(): Evaluator {
  return (loaded ??= createRequire(import.meta.url)("@cfworker/json-schema") as Evaluator);
}

let guarded: { run: () => unknown } | null = null;
const script = new Script("run()");

/** Throws ERR_SCRIPT_EXECUTION_TIMEOUT. */
function inTime<T>(run: () => T): T {
  guarded ??= createContext({ run }) as { run: () => unknown };
  guarded.run = run;
  return script.runInContext(guarded, { timeout: MAX_CHECK_MS }) as T;
}

function isWithin(unit: OutputUnit | undefined, outer: OutputUnit): boolean {
  return unit?.instanceLocation.startsWith(outer.instanceLocation) === true;
}

function partsOf(location: string): string[] {
  return location
    .split("/")
    .slice(1)
    .map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"));
}

function problemOf({ keyword, error }: OutputUnit, parts: readonly string[], schema: Json): ValueProblem {
  const path = pathOf(parts);
  if (keyword === "required") {
    const [, name = ""] = /"(.*)"/s.exec(error) ?? [];
    return { path: pathOf([...parts, name]), message: "is missing" };
  }
  if (keyword === "type") {
    const [, is = "", wanted = ""] = /type "(\w+)" is invalid\. Expected (.+)\.$/.exec(error) ?? [];
    return { path, message: `must be ${wanted.replaceAll('"', "").replaceAll(", ", " or ")}, not ${is}` };
  }
  if (keyword === "false") {
    const properties = isRecord(schema) && isRecord(schema.properties) ? Object.keys(schema.properties) : [];
    const meant = parts.length === 1 ? didYouMean(parts[0], properties) : "";
    return { path, message: `the schema has no such property${meant}` };
  }
  const [, allowed] = /^Instance does not match (any of .*|[^a-z].*)\.$/s.exec(error) ?? [];
  if (allowed !== undefined) return { path, message: `must be ${allowed.replace(/^any of/, "one of").slice(0, 500)}` };
  return {
    path,
    message: `${error
      .slice(0, 500)
      .replace(/\.$/, "")
      .replace(/^Instance /, "it ")
      .replace(/^(String|Array)/, "it")}`,
  };
}

function pathOf(parts: readonly string[]): string {
  return parts.reduce(
    (path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === "" ? part : `${path}.${part}`),
    "",
  );
}

function defaults(root: Json, schema: Json, value: Json, depth = 0): Json {
  const { properties } = resolved(root, schema);
  if (!isRecord(properties) || !isRecord(value) || depth > MAX_DEPTH) return value;
  const out: Record<string, Json> = { ...value };
  for (const [name, property] of Object.entries(properties as Record<string, Json>)) {
    const { default: given } = resolved(root, property);
    if (!Object.hasOwn(out, name) && given !== undefined) out[name] = structuredClone(given) as Json;
    if (Object.hasOwn(out, name)) out[name] = defaults(root, property, out[name], depth + 1);
  }
  return out;
}

/** What a schema says beside, or at, the place in it that it refers to. */
function resolved(root: Json, schema: Json): Readonly<Record<string, unknown>> {
  if (!isRecord(schema) || typeof schema.$ref !== "string") return isRecord(schema) ? schema : {};
  let target: unknown = root;
  for (const part of partsOf(schema.$ref)) target = isRecord(target) ? target[part] : undefined;
  return { ...(isRecord(target) ? target : {}), ...schema };
}

function badSchema(message: string, cause?: unknown): WeftError {
  return new WeftError("invalid_argument", message, { reason: "BAD_SCHEMA", cause });
}

/** Keywords that only say that something within does not fit. */
const OUTER = new Set(
  "$ref properties patternProperties additionalProperties unevaluatedProperties items prefixItems unevaluatedItems allOf anyOf oneOf if dependentSchemas propertyNames".split(
    " ",
  ),
);
const NONE: ReadonlySet<string> = new Set();
const MAX_CHECK_MS = 250;
const MAX_DEPTH = 64;
