import type { DescMethod, Message } from "@bufbuild/protobuf";
import { codecOf } from "../contract/codec.ts";
import type { Codec } from "../contract/types.ts";
import { WeftError } from "../core/errors.ts";
import type { AnyServiceDefinition, ResolvedServiceOptions } from "./definition.ts";
import type { AnyHandler, MethodKind } from "./implementation.ts";
import type { ServerHandler, ServerInterceptor } from "./interceptor.ts";

/**
 * A method ready to be called: its handler with the interceptors around it, composed once, and its codecs. The transports
 * (gRPC, REST, in process) call `invoke` and look at nothing else.
 */
export interface BoundMethod {
  readonly desc: DescMethod;
  /** "/counter.v1.Counter/Count" */
  readonly path: string;
  readonly kind: MethodKind;
  readonly options: ResolvedServiceOptions;
  readonly input: Codec;
  readonly output: Codec;
  /** Whether its calls are counted: those that keep the system itself running are not. */
  readonly counted: boolean;
  /**
   * Runs the handler. `request` is a message, or an async iterable of them; the result a message (initialiser), an iterable of them, or a promise
   * of either. May throw.
   */
  readonly invoke: AnyHandler;
}

/** Every method of a definition. `outer` interceptors (the server's) stand around the definition's own. */
export function bindMethods(definition: AnyServiceDefinition, outer: readonly ServerInterceptor[] = []): BoundMethod[] {
  const desc = definition.desc as { methods: readonly DescMethod[]; typeName: string };
  const interceptors = [...outer, ...definition.options.interceptors];
  return desc.methods.map((method) => ({
    desc: method,
    path: `/${desc.typeName}/${method.name}`,
    kind: method.methodKind,
    options: definition.options,
    input: codecOf(method.input),
    output: codecOf(method.output),
    counted: !OF_THE_PLATFORM.test(desc.typeName),
    invoke: compose(method, interceptors, handlerOf(definition, method.localName) ?? unimplemented(method)),
  }));
}

const OF_THE_PLATFORM = /^grpc\.(?:health|reflection)\./;

export function isStreaming(kind: MethodKind): { request: boolean; response: boolean } {
  return {
    request: kind === "client_streaming" || kind === "bidi_streaming",
    response: kind === "server_streaming" || kind === "bidi_streaming",
  };
}

function compose(method: DescMethod, interceptors: readonly ServerInterceptor[], handler: AnyHandler): AnyHandler {
  if (interceptors.length === 0) return handler;
  const innermost: ServerHandler = (request) => {
    const answer = handler(request.message, request.call) as object | Promise<object>;
    return isPromise(answer) ? answer.then(wrap) : wrap(answer);
  };
  const outermost = interceptors.reduceRight<ServerHandler>((next, interceptor) => interceptor(next), innermost);
  return (message: Message, call) => {
    const response = outermost({ method, call, message });
    return isPromise(response) ? response.then(unwrap) : response.message;
  };
}

function wrap(message: object): { message: object } {
  return { message };
}

function unwrap(response: { message: object }): object {
  return response.message;
}

/** The handler of a method, bound to its implementation; undefined when it has none. */
function handlerOf(definition: AnyServiceDefinition, localName: string): AnyHandler | undefined {
  const handler = (definition.implementation as Record<string, AnyHandler | undefined>)[localName];
  return handler?.bind(definition.implementation);
}

function unimplemented(method: DescMethod): AnyHandler {
  return () => {
    throw new WeftError(
      "unimplemented",
      `${method.parent.typeName}/${method.name} is not implemented by this service`,
      { reason: "METHOD_UNIMPLEMENTED" },
    );
  };
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
