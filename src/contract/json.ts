import { WeftError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import {
  createRegistry,
  type DescField,
  type DescFile,
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageShape,
  type Registry,
  toJson,
} from "./runtime.ts";

/**
 * The JSON mapping of proto3. Unknown fields are refused, and fields that are at their default are written, so that a caller sees
 * every field that there is.
 */

/** Reads a message from parsed JSON. Throws invalid_argument (BAD_JSON) with the path of the first wrong field. */
export function messageFromJson<D extends DescMessage>(desc: D, json: JsonValue): MessageShape<D> {
  const registry = registryOf(desc.file);
  try {
    return fromJson(desc, json, { registry });
  } catch (cause) {
    const found = findFault(desc, json, "", registry, 0);
    const message = found?.message ?? (cause instanceof Error ? cause.message : String(cause));
    const field = found?.path ?? "";
    throw new WeftError("invalid_argument", field === "" ? message : `${field}: ${message}`, {
      reason: "BAD_JSON",
      place: { field },
      cause,
    });
  }
}

/** Writes a message as JSON. Throws internal (UNWRITABLE_JSON) for what has no JSON form, such as an Any of an unknown type. */
export function messageToJson<D extends DescMessage>(desc: D, message: MessageShape<D>): JsonValue {
  try {
    return toJson(desc, message, { registry: registryOf(desc.file), alwaysEmitImplicit: true });
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new WeftError("internal", `cannot write ${desc.typeName} as JSON: ${text}`, {
      reason: "UNWRITABLE_JSON",
      cause,
    });
  }
}

/** Parses untrusted bytes. Throws invalid_argument (BAD_JSON): not UTF-8, not JSON, or nested deeper than 100. */
export function parseJson(bytes: Uint8Array): JsonValue {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw new WeftError("invalid_argument", "the body is not valid UTF-8", { reason: "BAD_JSON", cause });
  }
  assertShallow(text);
  try {
    return JSON.parse(text) as JsonValue;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : "";
    throw new WeftError("invalid_argument", `the body is not valid JSON: ${why}`, { reason: "BAD_JSON", cause });
  }
}

/** The types that a file and its imports declare, for Any and extensions. */
export function registryOf(file: DescFile): Registry {
  let registry = registries.get(file);
  if (registry === undefined) {
    const files = new Set<DescFile>();
    const add = (next: DescFile) => {
      if (files.has(next)) return;
      files.add(next);
      next.dependencies.forEach(add);
    };
    add(file);
    registry = createRegistry(...files);
    registries.set(file, registry);
  }
  return registry;
}

const registries = new WeakMap<DescFile, Registry>();
const utf8 = new TextDecoder("utf-8", { fatal: true });
const MAX_DEPTH = 100;

function assertShallow(text: string): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === 0x22) {
      while (++i < text.length && text.charCodeAt(i) !== 0x22) if (text.charCodeAt(i) === 0x5c) i++;
    } else if (char === 0x7b || char === 0x5b) {
      if (++depth > MAX_DEPTH)
        throw new WeftError("invalid_argument", `the body is nested deeper than ${MAX_DEPTH}`, { reason: "BAD_JSON" });
    } else if (char === 0x7d || char === 0x5d) depth--;
  }
}

interface Fault {
  path: string;
  message: string;
}

/** Only after something failed: walks down to the part that does not read by itself. */
function findFault(desc: DescMessage, json: JsonValue, path: string, registry: Registry, depth: number): Fault | null {
  if (isOwnJson(desc) || depth > MAX_DEPTH) return readFault(desc, json, path, registry);
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return { path, message: `expected an object (${desc.typeName}), got ${show(json)}` };
  }
  const names = new Map<string, DescField>();
  for (const field of desc.fields) names.set(field.name, field).set(field.jsonName, field);
  for (const [key, value] of Object.entries(json)) {
    const field = names.get(key);
    const at = path === "" ? key : `${path}.${key}`;
    if (field === undefined) {
      if (key.startsWith("[")) continue;
      const known = desc.fields.map(({ jsonName }) => jsonName);
      return { path: at, message: `${desc.typeName} has no field "${key.slice(0, 64)}"${didYouMean(key, known)}` };
    }
    const fault = findFieldFault(desc, field, key, value, at, registry, depth);
    if (fault !== null) return fault;
  }
  return readFault(desc, json, path, registry);
}

function findFieldFault(
  desc: DescMessage,
  field: DescField,
  key: string,
  value: JsonValue,
  at: string,
  registry: Registry,
  depth: number,
): Fault | null {
  const alone = readFault(desc, { [key]: value }, at, registry);
  if (alone === null) return null;
  if (field.message === undefined || value === null) {
    if (field.fieldKind === "list" && Array.isArray(value)) {
      const index = value.findIndex((item) => readFault(desc, { [key]: [item] }, at, registry) !== null);
      if (index >= 0) return { path: `${at}[${index}]`, message: expected(field, value[index], alone.message) };
    }
    return { path: at, message: expected(field, value, alone.message) };
  }
  if (field.fieldKind === "message") return findFault(field.message, value, at, registry, depth + 1) ?? alone;
  if (typeof value !== "object") return alone;
  for (const [index, item] of Object.entries(value)) {
    const itemAt = field.fieldKind === "list" ? `${at}[${index}]` : `${at}[${JSON.stringify(index)}]`;
    if (readFault(desc, { [key]: field.fieldKind === "list" ? [item] : { [index]: item } }, itemAt, registry) === null)
      continue;
    return (
      findFault(field.message, item as JsonValue, itemAt, registry, depth + 1) ?? {
        path: itemAt,
        message: alone.message,
      }
    );
  }
  return alone;
}

function readFault(desc: DescMessage, json: JsonValue, path: string, registry: Registry): Fault | null {
  try {
    fromJson(desc, json, { registry });
    return null;
  } catch (cause) {
    return { path, message: cause instanceof Error ? cause.message : String(cause) };
  }
}

function expected(field: DescField, value: JsonValue, otherwise: string): string {
  if (field.enum !== undefined && typeof value === "string") {
    const names = field.enum.values.map(({ name }) => name);
    return `${field.enum.typeName} has no value "${value.slice(0, 64)}"${didYouMean(value, names)}`;
  }
  return otherwise.replace(/^cannot decode \S+ \S+ from JSON: /, "");
}

/** Types whose JSON is not an object of their fields. */
function isOwnJson(desc: DescMessage): boolean {
  return OWN_JSON.test(desc.typeName);
}

const OWN_JSON =
  /^google\.protobuf\.(Any|Timestamp|Duration|FieldMask|Struct|Value|ListValue|(Double|Float|U?Int(32|64)|Bool|String|Bytes)Value)$/;

function show(json: JsonValue): string {
  if (json === null) return "null";
  return Array.isArray(json) ? "an array" : `a ${typeof json}`;
}
