import { didYouMean } from "../core/suggest.ts";
import { isRecord } from "./json-value.ts";

/** What is wrong with a JSON Schema of draft 2020-12 itself: a line each, with the place in it. Unknown keywords among it, which are most likely misspelt; "x-..." may stand for anything. */
export function schemaProblems(schema: unknown): string[] {
  const finder = new Finder();
  finder.schema(schema, "schema", 0);
  return finder.problems;
}

class Finder {
  readonly problems: string[] = [];
  #seen = 0;

  schema(schema: unknown, at: string, depth: number): void {
    if (typeof schema === "boolean" || this.problems.length > MAX_PROBLEMS) return;
    if (!isRecord(schema)) return this.#tell(at, "it must be an object or a boolean");
    if (depth > MAX_DEPTH || ++this.#seen > MAX_SCHEMAS) return this.#tell(at, "the schema is too large");
    for (const [keyword, value] of Object.entries(schema)) {
      const place = `${at}.${keyword.slice(0, 64)}`;
      if (SCHEMA.has(keyword)) this.schema(value, place, depth + 1);
      else if (SCHEMAS.has(keyword)) this.#list(value, place, depth);
      else if (SCHEMA_MAP.has(keyword)) this.#map(value, place, depth);
      else if (Object.hasOwn(INSTEAD, keyword)) this.#tell(place, `it is not supported; ${INSTEAD[keyword]}`);
      else if (Object.hasOwn(VALUES, keyword)) {
        const [wanted, holds] = VALUES[keyword];
        if (!holds(value)) this.#tell(place, `it must be ${wanted}`);
      } else if (!keyword.startsWith("x-"))
        this.#tell(place, `there is no such keyword${didYouMean(keyword, KEYWORDS)}`);
    }
  }

  #list(value: unknown, at: string, depth: number): void {
    if (!Array.isArray(value) || value.length === 0)
      return this.#tell(at, "it must be a list of schemas that is not empty");
    for (const [i, item] of value.entries()) this.schema(item, `${at}[${i}]`, depth + 1);
  }

  #map(value: unknown, at: string, depth: number): void {
    if (!isRecord(value)) return this.#tell(at, "it must be an object of schemas");
    for (const [name, item] of Object.entries(value)) {
      if (at.endsWith(".patternProperties") && !isPattern(name))
        this.#tell(at, `"${name.slice(0, 64)}" is no regular expression`);
      this.schema(item, `${at}.${name.slice(0, 64)}`, depth + 1);
    }
  }

  #tell(at: string, problem: string): void {
    if (this.problems.length <= MAX_PROBLEMS) this.problems.push(`${at}: ${problem}`);
  }
}

const SCHEMA = new Set(
  "additionalProperties items contains propertyNames not if then else unevaluatedItems unevaluatedProperties contentSchema".split(
    " ",
  ),
);
const SCHEMAS = new Set("prefixItems allOf anyOf oneOf".split(" "));
const SCHEMA_MAP = new Set("$defs definitions properties patternProperties dependentSchemas".split(" "));
const INSTEAD: Readonly<Record<string, string>> = {
  $dynamicRef: "use $ref",
  $dynamicAnchor: "use $anchor",
  $recursiveRef: "use $ref",
  $recursiveAnchor: "use $anchor",
  additionalItems: "use items beside prefixItems",
  dependencies: "use dependentRequired or dependentSchemas",
  id: "use $id",
};

type Value = readonly [wanted: string, holds: (value: unknown) => boolean];
const TYPES: readonly unknown[] = ["null", "boolean", "object", "array", "number", "string", "integer"];
const text: Value = ["a string", (value) => typeof value === "string"];
const flag: Value = ["true or false", (value) => typeof value === "boolean"];
const number: Value = ["a number", (value) => typeof value === "number" && Number.isFinite(value)];
const count: Value = ["a whole number from 0", (value) => Number.isInteger(value) && (value as number) >= 0];
const list: Value = ["a list", (value) => Array.isArray(value)];
const any: Value = ["anything", () => true];
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === "string");
const texts: Value = ["a list of strings", isTexts];

const VALUES: Readonly<Record<string, Value>> = {
  $schema: [
    "https://json-schema.org/draft/2020-12/schema",
    (value) => typeof value === "string" && value.replace(/#$/, "") === "https://json-schema.org/draft/2020-12/schema",
  ],
  $id: text,
  $anchor: text,
  $ref: ['within the schema: "#/$defs/..."', (value) => typeof value === "string" && value.startsWith("#")],
  $comment: text,
  type: [
    `one of ${TYPES.join(", ")}, or a list of them`,
    (value) =>
      TYPES.includes(value) || (Array.isArray(value) && value.length > 0 && value.every((one) => TYPES.includes(one))),
  ],
  enum: list,
  const: any,
  default: any,
  examples: list,
  title: text,
  description: text,
  format: text,
  contentEncoding: text,
  contentMediaType: text,
  pattern: ["a regular expression", (value) => typeof value === "string" && isPattern(value)],
  required: texts,
  dependentRequired: [
    "an object of lists of strings",
    (value) => isRecord(value) && Object.values(value).every(isTexts),
  ],
  minimum: number,
  maximum: number,
  exclusiveMinimum: number,
  exclusiveMaximum: number,
  multipleOf: ["a number above 0", (value) => typeof value === "number" && value > 0],
  minLength: count,
  maxLength: count,
  minItems: count,
  maxItems: count,
  minContains: count,
  maxContains: count,
  minProperties: count,
  maxProperties: count,
  uniqueItems: flag,
  readOnly: flag,
  writeOnly: flag,
  deprecated: flag,
};
const KEYWORDS = [...SCHEMA, ...SCHEMAS, ...SCHEMA_MAP, ...Object.keys(VALUES)];
const MAX_DEPTH = 64;
const MAX_SCHEMAS = 5_000;
const MAX_PROBLEMS = 20;

function isPattern(pattern: string): boolean {
  try {
    new RegExp(pattern, "u");
    return true;
  } catch {
    return false;
  }
}
