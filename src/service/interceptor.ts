import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { ServerCall } from "./server-call.ts";

/**
 * Wraps every call of the services it is given to, unary and streaming alike: logging, authentication, measuring.
 * Composed once, when the service is bound to a port; the first of a list is outermost.
 *
 *     const log: ServerInterceptor = (next) => async (request) => {
 *       const response = await next(request);
 *       console.log(request.method.name);
 *       return response;
 *     };
 *
 * A thrown WeftError is the caller's answer; anything else thrown becomes `internal`.
 */
export type ServerInterceptor = (next: ServerHandler) => ServerHandler;

/** One call, whatever its kind: the handler itself, or an interceptor around it. */
export type ServerHandler = (request: ServerRequest) => ServerResponse | Promise<ServerResponse>;

export interface ServerRequest {
  readonly method: DescMethod;
  readonly call: ServerCall;
  /** One message, or the stream of them for client_streaming and bidi_streaming methods. */
  readonly message: Message | AsyncIterable<Message>;
}

export interface ServerResponse {
  /** One message (or its initialiser), or the stream of them for server_streaming and bidi_streaming methods. */
  readonly message: object | AsyncIterable<object>;
}
