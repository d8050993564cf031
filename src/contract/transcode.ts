import { WeftError } from "../core/errors.ts";
import type { HttpBody } from "./gen/google/api/httpbody.ts";
import { HttpBodySchema } from "./gen/google/api/httpbody.ts";
import { type HttpBinding, isHttpBody } from "./http-rule.ts";
import { messageFromJson, messageToJson, parseJson } from "./json.ts";
import { applyQuery, setFields } from "./query.ts";
import { create, type DescMessage, type JsonObject, type Message } from "./runtime.ts";

/**
 * Between HTTP requests and messages, as google.api.http says. The server hands the messages to handlers; the gateway encodes them with
 * `codecOf(binding.method.input)` and calls the service over gRPC.
 */

/** A response body and what it is. */
export interface HttpContent {
  /** "" when nothing is known of it: then there is no content-type field. */
  contentType: string;
  body: Uint8Array;
}

/**
 * The request message: from the body, then the query (unless the body is everything), then the path, which wins.
 *
 * @param variables as RestRouter.match gave them
 * @param query without its "?"
 * @param contentType the request's field, "" when absent
 * Throws invalid_argument: BAD_JSON, BAD_QUERY, UNSUPPORTED_MEDIA_TYPE, with the field's path.
 */
export function requestToMessage(
  binding: HttpBinding,
  variables: readonly string[],
  query: string,
  body: Uint8Array,
  contentType: string,
): Message {
  const { input } = binding.method;
  if (body.length === 0 && query === "" && binding.variables.length === 0 && contentType === "")
    return create(input) as Message;
  let json: JsonObject = {};
  let raw: HttpBody | null = null;
  if (binding.body === "all") {
    if (isHttpBody(input)) raw = httpBody(contentType, body);
    else if (body.length > 0) json = readObject(input, body, contentType);
  } else if (typeof binding.body === "object") {
    if (isHttpBody(binding.body.message)) raw = httpBody(contentType, body);
    else if (body.length > 0) json[binding.body.jsonName] = readJson(body, contentType);
  }
  if (raw !== null && binding.body === "all") return raw;
  if (binding.body !== "all") applyQuery(input, query, json);
  for (let i = 0; i < binding.variables.length; i++) setFields(binding.variables[i], variables[i], json);
  const message = messageFromJson(input, json) as Message & Record<string, unknown>;
  if (raw !== null && typeof binding.body === "object") setField(message, binding.body, raw);
  return message;
}

/** The response's body: JSON, or the bytes of a google.api.HttpBody. Throws internal (UNWRITABLE_JSON). */
export function messageToResponse(binding: HttpBinding, message: Message): HttpContent {
  const { output } = binding.method;
  const field = binding.responseBody;
  if (field === null) {
    if (isHttpBody(output)) return rawContent(message as HttpBody);
    return { contentType: JSON_TYPE, body: Buffer.from(JSON.stringify(messageToJson(output, message))) };
  }
  if (field.fieldKind === "message" && isHttpBody(field.message))
    return rawContent(getField(message, field) as HttpBody | undefined);
  const json = messageToJson(output, message) as JsonObject;
  return { contentType: JSON_TYPE, body: Buffer.from(JSON.stringify(json[field.jsonName] ?? null)) };
}

/** Splits a request's path from its query. */
export function splitPath(target: string): { path: string; query: string } {
  const mark = target.indexOf("?");
  return mark < 0 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

const JSON_TYPE = "application/json";

function readObject(desc: DescMessage, body: Uint8Array, contentType: string): JsonObject {
  const json = readJson(body, contentType);
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json;
  throw new WeftError("invalid_argument", `the body must be a JSON object (${desc.typeName})`, { reason: "BAD_JSON" });
}

function readJson(body: Uint8Array, contentType: string) {
  if (contentType !== "" && !isJson(contentType)) {
    throw new WeftError(
      "invalid_argument",
      `content-type "${contentType.slice(0, 100)}" is not supported; send ${JSON_TYPE}`,
      {
        reason: "UNSUPPORTED_MEDIA_TYPE",
      },
    );
  }
  return parseJson(body);
}

/** application/json or application/*+json, with UTF-8 if any charset. */
function isJson(contentType: string): boolean {
  const [type, ...params] = contentType.toLowerCase().split(";");
  if (!/^application\/(json|[\w.-]+\+json)$/.test(type.trim())) return false;
  return params.every((param) => !param.trim().startsWith("charset=") || /^charset="?utf-8"?$/.test(param.trim()));
}

function httpBody(contentType: string, data: Uint8Array): HttpBody {
  return create(HttpBodySchema, { contentType, data: new Uint8Array(data) });
}

function rawContent(body: HttpBody | undefined): HttpContent {
  return { contentType: body?.contentType ?? "", body: body?.data ?? new Uint8Array() };
}

type Field = Exclude<HttpBinding["responseBody"], null>;

function getField(message: Message, field: Field): unknown {
  const record = message as Message & Record<string, unknown>;
  if (field.oneof === undefined) return record[field.localName];
  const oneof = record[field.oneof.localName] as { case?: string; value?: unknown };
  return oneof.case === field.localName ? oneof.value : undefined;
}

function setField(message: Message & Record<string, unknown>, field: Field, value: unknown): void {
  if (field.oneof === undefined) message[field.localName] = value;
  else message[field.oneof.localName] = { case: field.localName, value };
}
