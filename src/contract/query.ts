import { WeftError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import { decodeUrlPart } from "./percent.ts";
import type { DescEnum, DescField, DescMessage, JsonObject, JsonValue } from "./runtime.ts";
import { ScalarType } from "./runtime.ts";

/**
 * Sets the fields that a query string names, in the JSON form of a message: `page.size=10&tag=a&tag=b`. Names are proto or JSON names;
 * a repeated field takes every value, any other field one.
 * Throws invalid_argument (BAD_QUERY) that names the parameter.
 */
export function applyQuery(desc: DescMessage, query: string, into: JsonObject): void {
  if (query === "") return;
  const params = query.split("&");
  if (params.length > MAX_PARAMS) throw bad("", `more than ${MAX_PARAMS} query parameters`);
  for (const param of params) {
    if (param === "") continue;
    const equals = param.indexOf("=");
    const name = decodeQuery(equals < 0 ? param : param.slice(0, equals));
    const value = decodeQuery(equals < 0 ? "" : param.slice(equals + 1));
    setPath(desc, name, value, into);
  }
}

/** Sets one field down a path of descriptors, over whatever the JSON has under either of its names. */
export function setFields(path: readonly DescField[], value: string, into: JsonObject): void {
  let target = into;
  for (const [index, field] of path.entries()) {
    const present = own(target, field.jsonName) ?? own(target, field.name);
    delete target[field.name];
    if (index === path.length - 1) target[field.jsonName] = jsonOfText(field, value);
    else {
      const inner = isObject(present) ? present : {};
      target[field.jsonName] = inner;
      target = inner;
    }
  }
}

const MAX_PARAMS = 1000;

function setPath(desc: DescMessage, name: string, value: string, into: JsonObject): void {
  const names = name.split(".");
  let target = into;
  let message = desc;
  for (const [index, part] of names.entries()) {
    const field = message.fields.find((candidate) => candidate.jsonName === part || candidate.name === part);
    if (field === undefined) {
      const known = message.fields.map(({ jsonName }) => jsonName);
      throw bad(name, `${message.typeName} has no field "${part.slice(0, 64)}"${didYouMean(part, known)}`);
    }
    if (index < names.length - 1) {
      if (field.fieldKind !== "message") throw bad(name, `"${part}" is not a message, so it has no fields`);
      const present = own(target, field.jsonName);
      const inner: JsonObject = isObject(present) ? present : {};
      target[field.jsonName] = inner;
      target = inner;
      message = field.message;
      continue;
    }
    if (field.fieldKind === "map" || (field.fieldKind === "message" && !isTextual(field.message))) {
      throw bad(
        name,
        `a field of ${field.fieldKind === "map" ? "a map" : `message ${field.message.typeName}`} cannot be a query parameter; name a field in it`,
      );
    }
    if (field.fieldKind === "list") {
      if (field.listKind === "message" && !isTextual(field.message))
        throw bad(name, `a list of ${field.message.typeName} cannot be a query parameter`);
      const present = own(target, field.jsonName);
      if (Array.isArray(present)) present.push(jsonOfText(field, value));
      else target[field.jsonName] = [jsonOfText(field, value)];
    } else if (own(target, field.jsonName) !== undefined)
      throw bad(name, "is there more than once, but the field is not repeated");
    else target[field.jsonName] = jsonOfText(field, value);
  }
}

/** The JSON of a value that came as text. What stays text (numbers too) is read by the JSON mapping itself. */
function jsonOfText(field: DescField, text: string): JsonValue {
  const scalar = field.scalar ?? field.message?.fields[0]?.scalar;
  if (field.enum !== undefined) return enumOfText(field.enum, text);
  if (
    scalar === ScalarType.BOOL &&
    (field.scalar !== undefined || field.message?.typeName === "google.protobuf.BoolValue")
  ) {
    return text === "true" ? true : text === "false" ? false : text;
  }
  return text;
}

function enumOfText(desc: DescEnum, text: string): JsonValue {
  return /^-?\d{1,10}$/.test(text) && !desc.values.some(({ name }) => name === text) ? Number(text) : text;
}

/** Messages whose JSON is a string, a number or a boolean. */
function isTextual(desc: DescMessage): boolean {
  return /^google\.protobuf\.(Timestamp|Duration|FieldMask|(Double|Float|U?Int(32|64)|Bool|String|Bytes)Value)$/.test(
    desc.typeName,
  );
}

/** application/x-www-form-urlencoded: "+" is a space. */
function decodeQuery(text: string): string {
  const decoded = decodeUrlPart(text.includes("+") ? text.replaceAll("+", " ") : text);
  if (decoded === undefined) throw bad("", "the query is not valid percent-encoded UTF-8");
  return decoded;
}

function own(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bad(name: string, why: string): WeftError {
  const message = name === "" ? why : `query parameter "${name.slice(0, 100)}": ${why}`;
  return new WeftError("invalid_argument", message, { reason: "BAD_QUERY", place: { field: name } });
}
