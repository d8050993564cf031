import { setEntry } from "./codec-read.ts";
import type { JsonObject, JsonValue } from "./runtime.ts";

/**
 * google.protobuf.Struct is plain JSON where it is a field, and a message where it stands alone (protobuf-es's shapes). These are the
 * ways between the two.
 */

interface StructMessage {
  $typeName: "google.protobuf.Struct";
  fields: Record<string, ValueMessage>;
}

interface ValueMessage {
  $typeName: "google.protobuf.Value";
  kind: { case: string | undefined; value?: unknown };
}

export function structToJson(struct: StructMessage): JsonObject {
  const json: JsonObject = {};
  for (const key of Object.keys(struct.fields)) setEntry(json, key, valueToJson(struct.fields[key]));
  return json;
}

export function jsonToStruct(json: unknown): StructMessage {
  const fields: Record<string, ValueMessage> = {};
  if (typeof json === "object" && json !== null) {
    for (const key of Object.keys(json)) setEntry(fields, key, jsonToValue((json as JsonObject)[key]));
  }
  return { $typeName: "google.protobuf.Struct", fields };
}

function valueToJson({ kind }: ValueMessage): JsonValue {
  if (kind.case === "structValue") return structToJson(kind.value as StructMessage);
  if (kind.case === "listValue") return (kind.value as { values: ValueMessage[] }).values.map(valueToJson);
  return kind.case === undefined || kind.case === "nullValue" ? null : (kind.value as JsonValue);
}

function jsonToValue(json: JsonValue): ValueMessage {
  return { $typeName: "google.protobuf.Value", kind: kindOf(json) };
}

function kindOf(json: JsonValue): ValueMessage["kind"] {
  if (json === null) return { case: "nullValue", value: 0 };
  if (typeof json === "number") return { case: "numberValue", value: json };
  if (typeof json === "string") return { case: "stringValue", value: json };
  if (typeof json === "boolean") return { case: "boolValue", value: json };
  if (Array.isArray(json))
    return { case: "listValue", value: { $typeName: "google.protobuf.ListValue", values: json.map(jsonToValue) } };
  return typeof json === "object" ? { case: "structValue", value: jsonToStruct(json) } : { case: undefined };
}
