import fc from "fast-check";
import type { JsonSchema } from "./json-schema.ts";
import { RESOURCE_SHAPES } from "./resource-shapes.ts";
import type { Resource, ResourceKind } from "./resources.ts";
import type { FieldPath } from "./shape.ts";

/* For tests: resources of any kind with any of their fields, made of the shapes that check them, so that a new field is in them by itself. */

/**
 * A resource that its shape accepts: what is wrong in it, as far as fields exclude one another, has been taken out. Null where that did not help. It may still
 * refer to what is not there, or be no sense together with others.
 */
export function anyResourceOf(kind: ResourceKind): fc.Arbitrary<Resource | null> {
  return anyOfSchema(RESOURCE_SHAPES[kind].schema ?? {}, []).map((value) => {
    const resource = structuredClone(value) as { metadata: { name: string }; spec: Record<string, unknown> };
    resource.metadata = { name: resource.metadata.name };
    for (let tries = 0; tries < 12; tries++) {
      const wrong: FieldPath[] = [];
      RESOURCE_SHAPES[kind](resource, [], (path) => wrong.push(path));
      if (wrong.length === 0) return resource as unknown as Resource;
      for (const path of wrong) takeOut(resource, path.length === 0 ? ["status"] : path);
    }
    return null;
  });
}

/** Documents like those above with something wrong, odd or hostile at some places; or nothing like a document at all. */
export function hostileDocument(): fc.Arbitrary<unknown> {
  const spoilt = fc
    .tuple(
      fc.constantFrom(...KINDS).chain((kind) => anyOfSchema(RESOURCE_SHAPES[kind].schema ?? {}, [])),
      fc.array(fc.tuple(fc.nat(), hostileValue()), { minLength: 1, maxLength: 4 }),
    )
    .map(([value, changes]) => {
      const document = structuredClone(value);
      for (const [at, change] of changes) spoil(document, at, change);
      return document;
    });
  return fc.oneof({ weight: 6, arbitrary: spoilt }, { weight: 1, arbitrary: hostileValue() });
}

export const KINDS = Object.keys(RESOURCE_SHAPES) as ResourceKind[];

/** What a caller or an author might put where a name, a number or a text is wanted. */
export function hostileValue(): fc.Arbitrary<unknown> {
  return fc.oneof(
    fc.constantFrom<unknown>(...ODD_NUMBERS, ...ODD_NAMES, null, undefined, true, [], {}, [[]], [null]),
    fc.constantFrom<unknown>(
      "x".repeat(100_000),
      "(".repeat(2_000),
      "a*".repeat(3_000),
      "\u0000",
      "\u202e",
      "\ud800",
      "9".repeat(400) + "s",
    ),
    fc.constant(0).map(() => deep(5_000)),
    fc
      .constant(0)
      .map(() => JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}')),
    fc.constant(0).map(() => Array.from({ length: 20_000 }, (_, i) => i)),
    fc.jsonValue({ maxDepth: 3 }),
  );
}

/** Names that objects inherit something under. */
export const ODD_NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "prototype"];
const ODD_NUMBERS = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 1e-320, 2 ** 53, -1, 0.1];

/** Texts that fields of many kinds may hold; the first of them more often, so that resources are about the same things. */
const WORDS = [
  ...["products", "standby", "products@v1", "x-user", "x-key", "/", "/web", "GET", "POST", "200", "503", "v1", "a"],
  ...["p.Products/Get", "p.Products", "10.0.0.0/8", "shop", "*.shop", "sub", "role", "id", "https://id.test", "*"],
  ...[
    "http://authz.test",
    "authz.test:1",
    "10ms",
    "50ms",
    "1s",
    "5m",
    "0s",
    "text",
    "[a-z]+",
    "true",
    "/login",
    "request.path == '/'",
  ],
  ...ODD_NAMES,
];

function anyOfSchema(schema: JsonSchema, path: readonly string[]): fc.Arbitrary<unknown> {
  if (typeof schema === "boolean") return fc.constant(undefined);
  const name = path.at(-1) ?? "";
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map((one) => anyOfSchema(one, path)));
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type) {
    case "object":
      return anyObject(schema, path);
    case "array": {
      const { items = {}, minItems = 0, maxItems = 3 } = schema;
      return fc.array(anyOfSchema(items, path), { minLength: minItems, maxLength: Math.min(maxItems, minItems + 2) });
    }
    case "integer":
    case "number":
      return anyNumber(schema.minimum ?? -1e6, schema.maximum ?? 1e6, type === "integer");
    case "boolean":
      return fc.boolean();
    case "string":
      return anyText(schema.pattern, schema.maxLength ?? 64, name === "name" ? `${path.at(-2)}.name` : name);
    default:
      return fc.constantFrom<unknown>("a", 1, true, {}, { a: 1 });
  }
}

function anyObject(schema: Exclude<JsonSchema, boolean>, path: readonly string[]): fc.Arbitrary<unknown> {
  const { properties = {}, required = [] } = schema;
  const names = Object.keys(properties).filter((name) => !NEVER.has(name) && properties[name] !== false);
  const fields = names.map((name) => {
    const value = anyOfSchema(properties[name], [...path, name]);
    const always = required.includes(name) || ALWAYS.has(name);
    return always ? value : fc.option(value, { nil: undefined, freq: 2 });
  });
  return fc.tuple(...fields).map((values) => {
    const made: Record<string, unknown> = {};
    names.forEach((name, i) => {
      if (values[i] !== undefined) made[name] = values[i];
    });
    return made;
  });
}

function anyNumber(min: number, max: number, whole: boolean): fc.Arbitrary<number> {
  const few = [min, max, 1, 2, 5, 10, 50, 100, 1_000].filter((value) => value >= min && value <= max);
  return whole || few.length > 2 ? fc.constantFrom(...few) : fc.double({ min, max, noNaN: true });
}

function anyText(pattern: string | undefined, max: number, name: string): fc.Arbitrary<string> {
  const wanted = pattern === undefined ? null : new RegExp(pattern);
  const words = name.endsWith("Refs.name") ? REFERRED : [...WORDS, ...(NAMED[name] ?? [])];
  const known = words.filter((word) => word.length <= max && wanted?.test(word) !== false);
  if (known.length > 0) return fc.constantFrom(...known);
  return wanted === null ? fc.string({ maxLength: Math.min(max, 12) }) : fc.stringMatching(wanted);
}

const NAMED: Readonly<Record<string, readonly string[]>> = {
  sha256: ["a".repeat(64)],
  issuer: ["https://id.test"],
};
/** What references are to, where they are to be to anything. */
const REFERRED = [
  "products",
  "products",
  "products",
  "products@v1",
  "standby",
  "p.Products",
  "p.Products/Get",
  "httproute-0",
];
/** A system has one namespace. */
const NEVER: ReadonlySet<string> = new Set(["status", "namespace"]);
const ALWAYS: ReadonlySet<string> = new Set(["targetRefs", "backendRefs", "parentRefs"]);

function takeOut(value: unknown, path: FieldPath): void {
  let at = value as Record<string | number, unknown>;
  for (const part of path.slice(0, -1)) {
    if (typeof at?.[part] !== "object" || at[part] === null) return;
    at = at[part] as Record<string | number, unknown>;
  }
  const last = path[path.length - 1];
  if (Array.isArray(at)) at.splice(Number(last), 1);
  else delete at[last];
}

function spoil(value: unknown, at: number, change: unknown): void {
  if (typeof value !== "object" || value === null) return;
  const keys = Object.keys(value);
  if (keys.length === 0 || at % 7 === 6) {
    const name = ODD_NAMES[at % ODD_NAMES.length];
    Object.defineProperty(value, name, { value: change, enumerable: true, configurable: true, writable: true });
    return;
  }
  const key = keys[at % keys.length];
  const inner = (value as Record<string, unknown>)[key];
  if (typeof inner === "object" && inner !== null && at % 3 !== 0) spoil(inner, Math.floor(at / 3), change);
  else (value as Record<string, unknown>)[key] = change;
}

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}
