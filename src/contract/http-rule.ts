import { WeftError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import { http } from "./gen/google/api/annotations.ts";
import type { HttpRule } from "./gen/google/api/http.ts";
import { HttpBodySchema } from "./gen/google/api/httpbody.ts";
import { type PathTemplate, parsePathTemplate } from "./http-template.ts";
import { type DescField, type DescMessage, type DescMethod, getOption, hasOption } from "./runtime.ts";

/** One way in which a method is served over HTTP, checked against its descriptor. */
export interface HttpBinding {
  readonly method: DescMethod;
  /** "GET", or "*" for every method. */
  readonly httpMethod: string;
  readonly template: PathTemplate;
  /** The request fields that the template's variables set, in their order: each the fields from the message down to the leaf. */
  readonly variables: readonly (readonly DescField[])[];
  /** What the request's body is: nothing, every field that the path does not set, or one field. */
  readonly body: "none" | "all" | DescField;
  /** The field that is the response's body; null is the whole message. */
  readonly responseBody: DescField | null;
}

/**
 * The bindings of a method: the google.api.http rule first, then its additional bindings. Empty when it has none.
 * Throws invalid_argument (BAD_HTTP_RULE) that names method, rule and field.
 */
export function httpBindings(method: DescMethod): readonly HttpBinding[] {
  let bindings = cache.get(method);
  if (bindings === undefined) {
    bindings = hasOption(method, http) ? readRule(method, getOption(method, http)) : [];
    cache.set(method, bindings);
  }
  return bindings;
}

/** "GET /v1/products/{id}" */
export function formatBinding(binding: HttpBinding): string {
  return `${binding.httpMethod} ${binding.template.text}`;
}

/** Whether a message type is google.api.HttpBody: its bytes are the body as they are. */
export function isHttpBody(desc: DescMessage | undefined): boolean {
  return desc?.typeName === HttpBodySchema.typeName;
}

const cache = new WeakMap<DescMethod, readonly HttpBinding[]>();

function readRule(method: DescMethod, rule: HttpRule): HttpBinding[] {
  const bindings = [readBinding(method, rule)];
  for (const more of rule.additionalBindings) {
    if (more.additionalBindings.length > 0)
      fail(method, formatRule(more), "additional_bindings cannot have additional_bindings of their own");
    bindings.push(readBinding(method, more));
  }
  return bindings;
}

function readBinding(method: DescMethod, rule: HttpRule): HttpBinding {
  const { case: kind, value } = rule.pattern;
  const where = formatRule(rule);
  if (kind === undefined) fail(method, where, "has no path; set one of get, put, post, delete, patch, custom");
  const httpMethod = kind === "custom" ? value.kind : kind.toUpperCase();
  if (!/^(\*|[!#$%&'+.^_`|~0-9A-Za-z-]+)$/.test(httpMethod))
    fail(method, where, `custom kind "${httpMethod}" is not an HTTP method`);
  let template: PathTemplate;
  try {
    template = parsePathTemplate(kind === "custom" ? value.path : value);
  } catch (cause) {
    fail(method, where, (cause as Error).message);
  }
  const variables = template.variables.map(({ fieldPath }) => variableFields(method, where, fieldPath));
  if (method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming") {
    fail(
      method,
      where,
      "a method that takes a stream has no HTTP binding; take the rule out or make the request a single message",
    );
  }
  const body = bodyOf(method, rule, where);
  if (body !== "none" && (httpMethod === "GET" || httpMethod === "HEAD")) {
    fail(
      method,
      where,
      `body "${rule.body}" cannot be sent with ${httpMethod}; take it out, the fields are query parameters then`,
    );
  }
  if (typeof body === "object" && variables.some((path) => path[0] === body))
    fail(method, where, `field "${body.name}" is both the body and in the path`);
  const responseBody =
    rule.responseBody === "" ? null : fieldOf(method, where, method.output, rule.responseBody, "response_body");
  return { method, httpMethod, template, variables, body, responseBody };
}

function variableFields(method: DescMethod, where: string, names: readonly string[]): DescField[] {
  const fields: DescField[] = [];
  let desc: DescMessage = method.input;
  for (const [index, name] of names.entries()) {
    const field = fieldOf(method, where, desc, name, `variable {${names.join(".")}}`);
    fields.push(field);
    if (index === names.length - 1) {
      if (!isPathType(field))
        fail(
          method,
          where,
          `variable {${names.join(".")}}: a field of ${describeType(field)} cannot be in a path; use a scalar or an enum`,
        );
    } else if (field.fieldKind === "message") desc = field.message;
    else
      fail(
        method,
        where,
        `variable {${names.join(".")}}: "${name}" is not a message, so it has no field "${names[index + 1]}"`,
      );
  }
  return fields;
}

function bodyOf(method: DescMethod, rule: HttpRule, where: string): HttpBinding["body"] {
  if (rule.body === "") return "none";
  return rule.body === "*" ? "all" : fieldOf(method, where, method.input, rule.body, "body");
}

function fieldOf(method: DescMethod, where: string, desc: DescMessage, name: string, what: string): DescField {
  const field = desc.fields.find((candidate) => candidate.name === name);
  if (field !== undefined) return field;
  const names = desc.fields.map((candidate) => candidate.name);
  return fail(
    method,
    where,
    `${what}: ${desc.typeName} has no field "${name}"${didYouMean(name, names) || `; it has ${names.join(", ") || "none"}`}`,
  );
}

function isPathType(field: DescField): boolean {
  if (field.fieldKind === "scalar" || field.fieldKind === "enum") return true;
  return (
    field.fieldKind === "message" &&
    /^google\.protobuf\.(Timestamp|Duration|FieldMask|\w+Value)$/.test(field.message.typeName)
  );
}

function describeType(field: DescField): string {
  if (field.fieldKind === "list") return "a repeated type";
  if (field.fieldKind === "map") return "a map type";
  return `type ${field.message?.typeName ?? "group"}`;
}

function formatRule(rule: HttpRule): string {
  const { case: kind, value } = rule.pattern;
  if (kind === undefined) return "(no pattern)";
  return kind === "custom" ? `${value.kind} ${value.path}` : `${kind.toUpperCase()} ${value}`;
}

function fail(method: DescMethod, where: string, why: string): never {
  const name = `${method.parent.typeName}/${method.name}`;
  throw new WeftError("invalid_argument", `${name}: google.api.http rule "${where}": ${why}`, {
    reason: "BAD_HTTP_RULE",
    place: { field: name },
  });
}
