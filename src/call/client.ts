import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { type ClientFallback, type ClientFallbacks, readFallbacks } from "./client-fallback.ts";
import { ClientEnvironment, MethodCaller } from "./client-method.ts";
import type {
  CallOptions,
  Client,
  ClientHandler,
  ClientInterceptor,
  ClientOptions,
  ClientRequest,
  Messages,
} from "./client-types.ts";
import { Metadata } from "./metadata.ts";
import { callBidiStreaming, callClientStreaming, callServerStreaming } from "./streaming-call.ts";
import { callUnary } from "./unary-call.ts";

/** Makes a typed client of a service; everything about a method is made ready here, once. See Client for what its functions take. */
export function createClient<S extends DescService>(
  desc: S,
  options: ClientOptions & { fallback?: ClientFallbacks<S> },
): Client<S> {
  const env = new ClientEnvironment(desc.typeName, options);
  const client: Record<string, unknown> = {};
  const fallbacks = readFallbacks(desc, options.fallback);
  for (const method of desc.methods) {
    const fallback = fallbacks.get(method.localName) ?? null;
    client[method.localName] = callerOf(method, env, options.interceptors ?? [], fallback);
  }
  return client as Client<S>;
}

/** One method as a function, for calls by descriptor. What it takes and returns depends on the method's kind, as in Client. */
export function createMethodCall(
  method: DescMethod,
  options: ClientOptions,
): (message: object, options?: CallOptions) => Promise<object> | AsyncIterableIterator<object> {
  const env = new ClientEnvironment(method.parent.typeName, options);
  return callerOf(method, env, options.interceptors ?? []);
}

type Call = (message: object, options?: CallOptions) => Promise<object> | AsyncIterableIterator<object>;

function callerOf(
  method: DescMethod,
  env: ClientEnvironment,
  interceptors: readonly ClientInterceptor[],
  fallback: ClientFallback | null = null,
): Call {
  const caller = new MethodCaller(method, env, fallback);
  const direct = directCall(method, caller);
  if (interceptors.length === 0) return direct;
  const handler = interceptors.reduceRight<ClientHandler>(
    (next, interceptor) => interceptor(next),
    async (request) => ({ message: await direct(request.message, { ...request.options, metadata: request.metadata }) }),
  );
  const streams = method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming";
  return streams
    ? (message, options) => new InterceptedStream(handler(requestOf(method, message, options)))
    : async (message, options) => (await handler(requestOf(method, message, options))).message;
}

function directCall(method: DescMethod, caller: MethodCaller): Call {
  switch (method.methodKind) {
    case "unary":
      return (message, options) => callUnary(caller, message, options);
    case "server_streaming":
      return (message, options) => callServerStreaming(caller, message, options);
    case "client_streaming":
      return (messages, options) => callClientStreaming(caller, messages as Messages<object>, options);
    case "bidi_streaming":
      return (messages, options) => callBidiStreaming(caller, messages as Messages<object>, options);
  }
}

function requestOf(method: DescMethod, message: object, options: CallOptions = {}): ClientRequest {
  const { metadata, ...rest } = options;
  return { method, message, metadata: Metadata.from(metadata), options: rest };
}

/** The response stream of a call whose interceptors may still be at work. */
class InterceptedStream implements AsyncIterableIterator<object> {
  readonly #iterator: Promise<AsyncIterator<object>>;

  constructor(response: Promise<{ readonly message: object | AsyncIterable<object> }>) {
    this.#iterator = response.then(({ message }) => (message as AsyncIterable<object>)[Symbol.asyncIterator]());
    this.#iterator.catch(() => {}); // told by next()
  }

  async next(): Promise<IteratorResult<object, undefined>> {
    return await (await this.#iterator).next();
  }

  async return(): Promise<IteratorResult<object, undefined>> {
    const iterator = await this.#iterator.catch(() => null);
    await iterator?.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
