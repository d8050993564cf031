import { type DescMethod, fromJson, type JsonValue, type Registry, toJson } from "@bufbuild/protobuf";
import { WeftError } from "../core/errors.ts";
import { createMethodCall } from "./client.ts";
import type { CallOptions, ClientOptions, Messages } from "./client-types.ts";

export interface JsonCallOptions extends ClientOptions {
  /** Types that google.protobuf.Any fields may hold. */
  registry?: Registry;
}

/**
 * Calls a method by its descriptor, JSON in and JSON out (proto3's JSON mapping): for tools. Yields every response message, one for unary methods.
 * `requests` is one value for methods that take one message (more are `invalid_argument`), any number for streams of them.
 * JSON that does not fit the message rejects with `invalid_argument` that names the field.
 */
export async function* callJson(
  method: DescMethod,
  requests: Messages<JsonValue>,
  options: JsonCallOptions,
  call: CallOptions = {},
): AsyncGenerator<JsonValue, void> {
  const invoke = createMethodCall(method, options);
  const takesStream = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
  const messages = parseAll(method, requests, options.registry);
  const answer = invoke(takesStream ? messages : await onlyOne(method, messages), call);
  if (answer instanceof Promise) yield print(method, await answer, options.registry);
  else for await (const message of answer) yield print(method, message, options.registry);
}

async function* parseAll(
  method: DescMethod,
  requests: Messages<JsonValue>,
  registry: Registry | undefined,
): AsyncGenerator<object> {
  for await (const json of requests) {
    try {
      yield fromJson(method.input, json, registry === undefined ? {} : { registry });
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new WeftError("invalid_argument", `the request is no ${method.input.typeName}: ${text}`, {
        reason: "BAD_JSON",
        cause,
      });
    }
  }
}

async function onlyOne(method: DescMethod, messages: AsyncIterable<object>): Promise<object> {
  let one: object | undefined;
  for await (const message of messages) {
    if (one !== undefined) throw count(method, "more than one was given");
    one = message;
  }
  if (one === undefined) throw count(method, "none was given");
  return one;
}

function count(method: DescMethod, what: string): WeftError {
  const text = `${method.parent.typeName}/${method.name} takes one request message; ${what}`;
  return new WeftError("invalid_argument", text, { reason: "REQUEST_COUNT" });
}

function print(method: DescMethod, message: object, registry: Registry | undefined): JsonValue {
  return toJson(method.output, message as never, {
    alwaysEmitImplicit: true,
    ...(registry === undefined ? {} : { registry }),
  });
}
