import type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { ServerCall } from "./server-call.ts";

/**
 * What implements a service: one handler for each of its methods, by the method's local name. A method that is left out answers
 * `unimplemented`. Handlers get complete messages and may return plain objects with only the fields that they set.
 */
export type Implementation<S extends DescService> = {
  readonly [Name in keyof S["method"]]?: HandlerOf<S["method"][Name]>;
};

/** The handler that a method's descriptor asks for. */
export type HandlerOf<M> = M extends {
  methodKind: infer Kind;
  input: infer I extends DescMessage;
  output: infer O extends DescMessage;
}
  ? Kind extends "unary"
    ? UnaryHandler<I, O>
    : Kind extends "server_streaming"
      ? ServerStreamingHandler<I, O>
      : Kind extends "client_streaming"
        ? ClientStreamingHandler<I, O>
        : Kind extends "bidi_streaming"
          ? BidiStreamingHandler<I, O>
          : AnyHandler
  : AnyHandler;

/** One message in, one out. May answer synchronously, which costs no promise. */
export type UnaryHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  call: ServerCall,
) => MessageInitShape<O> | Promise<MessageInitShape<O>>;

/** One message in, any number out. Usually `async *name(request, call)`; it is asked for the next message only when the caller can take it. */
export type ServerStreamingHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  call: ServerCall,
) => AsyncIterable<MessageInitShape<O>> | Iterable<MessageInitShape<O>>;

/** Any number of messages in, one out. The caller is slowed down to the pace at which `requests` is read. */
export type ClientStreamingHandler<I extends DescMessage, O extends DescMessage> = (
  requests: AsyncIterable<MessageShape<I>>,
  call: ServerCall,
) => MessageInitShape<O> | Promise<MessageInitShape<O>>;

/** Messages both ways, independently of each other. */
export type BidiStreamingHandler<I extends DescMessage, O extends DescMessage> = (
  requests: AsyncIterable<MessageShape<I>>,
  call: ServerCall,
) => AsyncIterable<MessageInitShape<O>> | Iterable<MessageInitShape<O>>;

/** A handler of a method whose types are not known here (descriptors loaded at run time). */
// biome-ignore lint/suspicious/noExplicitAny: the method's messages are known only to whoever wrote the handler
export type AnyHandler = (request: any, call: ServerCall) => unknown;

/** "unary", "server_streaming", "client_streaming" or "bidi_streaming". */
export type MethodKind = DescMethod["methodKind"];
