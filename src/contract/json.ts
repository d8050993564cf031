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
  ScalarType,
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
    const found = new FaultFinder(registry).inMessage(desc, json, "", 1);
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

/** How many values are looked at to name the wrong one; beyond it the error says what the JSON mapping said. */
const MAX_CHECKS = 10_000;

/** Only after something failed: walks down to the first value that does not read by itself. Looks at each value once. */
class FaultFinder {
  readonly #registry: Registry;
  #checks = 0;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  inMessage(desc: DescMessage, json: JsonValue, path: string, depth: number): Fault | null {
    if (isOwnJson(desc) || depth > MAX_DEPTH) return this.#read(desc, json, path);
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
      const fault = this.#inField(desc, field, key, value, at, depth);
      if (fault !== null) return fault;
    }
    return null;
  }

  #inField(
    desc: DescMessage,
    field: DescField,
    key: string,
    value: JsonValue,
    at: string,
    depth: number,
  ): Fault | null {
    if (value === null) return null;
    if (field.fieldKind === "message") return this.inMessage(field.message, value, at, depth + 1);
    if (field.fieldKind === "list" && Array.isArray(value)) {
      for (const [index, item] of value.entries()) {
        const itemAt = `${at}[${index}]`;
        const fault =
          field.message === undefined
            ? this.#leaf(desc, field, { [key]: [item] }, item, itemAt)
            : this.inMessage(field.message, item, itemAt, depth + 1);
        if (fault !== null) return fault;
      }
      return null;
    }
    if (field.fieldKind === "map" && typeof value === "object" && !Array.isArray(value)) {
      for (const [name, item] of Object.entries(value)) {
        const itemAt = `${at}[${JSON.stringify(name.slice(0, 64))}]`;
        const { message } = field;
        let fault = message === undefined ? null : this.inMessage(message, item, itemAt, depth + 1);
        // Of messages only the key is left to look at, with an empty one in its place.
        const check = message === undefined || (field.mapKey !== ScalarType.STRING && !isOwnJson(message));
        if (check)
          fault ??= this.#leaf(desc, field, { [key]: { [name]: message === undefined ? item : {} } }, item, itemAt);
        if (fault !== null) return fault;
      }
      return null;
    }
    return this.#leaf(desc, field, { [key]: value }, value, at);
  }

  #leaf(desc: DescMessage, field: DescField, json: JsonValue, value: JsonValue, path: string): Fault | null {
    const fault = this.#read(desc, json, path);
    return fault === null ? null : { path, message: expected(field, value, fault.message) };
  }

  #read(desc: DescMessage, json: JsonValue, path: string): Fault | null {
    if (++this.#checks > MAX_CHECKS) return null;
    try {
      fromJson(desc, json, { registry: this.#registry });
      return null;
    } catch (cause) {
      return { path, message: cause instanceof Error ? cause.message : String(cause) };
    }
  }
}

function expected(field: DescField, value: JsonValue, otherwise: string): string {
  if (field.enum !== undefined && typeof value === "string") {
    const names = field.enum.values.map(({ name }) => name);
    return `${field.enum.typeName} has no value "${value.slice(0, 64)}"${didYouMean(value, names)}`;
  }
  return otherwise.replace(/^cannot decode \w+ \S+ from JSON: /, "");
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
