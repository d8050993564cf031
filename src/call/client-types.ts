import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Clock } from "../core/clock.ts";
import type { Decision } from "../policy/call.ts";
import type { Metadata, MetadataInit } from "./metadata.ts";
import type { Carrier } from "./types.ts";

/**
 * A typed client of a service: a function for each of its methods. Failed calls reject (or, streams, throw when iterated) with a WeftError.
 *
 *     unary              (request, options?) => Promise<Response>
 *     server streaming   (request, options?) => AsyncIterable<Response>
 *     client streaming   (requests, options?) => Promise<Response>
 *     bidi streaming     (requests, options?) => AsyncIterable<Response>
 *
 * Calls start at once. Leaving a response stream early (break, return) cancels its call.
 */
export type Client<S extends DescService> = {
  readonly [M in keyof S["method"]]: ClientMethod<S["method"][M]>;
};

type ClientMethod<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterableIterator<MessageShape<O>>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? (requests: Messages<MessageInitShape<I>>, options?: CallOptions) => Promise<MessageShape<O>>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? (requests: Messages<MessageInitShape<I>>, options?: CallOptions) => AsyncIterableIterator<MessageShape<O>>
          : never;

/** A stream of request messages: an async generator, a ReadableStream, an array. */
export type Messages<T> = AsyncIterable<T> | Iterable<T>;

export interface CallOptions {
  /** The call fails with `deadline_exceeded` after so long. Default: the client's; a deadline of the call being served shrinks it. */
  timeoutMs?: number;
  /** Cancels the call when it aborts. */
  signal?: AbortSignal;
  metadata?: MetadataInit;
  /** Told of the response's metadata when its head arrives; not when the call fails before. */
  onHeader?: (headers: Metadata) => void;
  /** Told of the trailing metadata, of failed calls too (gRPC's own fields are left out). */
  onTrailer?: (trailers: Metadata) => void;
  /** Told what policy decided, when the call has ended. The decision is valid during the call only. */
  onDecision?: (decision: Decision) => void;
}

export interface ClientOptions {
  carrier: Carrier;
  /** Who serves it, as the registry names it. Default: the contract's full name, which policy understands too. */
  service?: string;
  /** `:authority` of requests. Default: `service`. */
  authority?: string;
  /** Default timeout of calls, ms. Default: none, beyond what policy sets. */
  timeoutMs?: number;
  /** First is outermost. */
  interceptors?: readonly ClientInterceptor[];
  /** Largest response message, bytes. Default 4,194,304. */
  maxMessageBytes?: number;
  /** "gzip" compresses request messages of 1 KB and more. Default "identity". Compressed responses are always understood. */
  compression?: "identity" | "gzip";
  /** What a call inherits from where it is made (the call being served). Asked at every call. */
  ambient?: () => AmbientCall | undefined;
  /** Names calls that nobody else names: those outside of a served call without an `x-request-id` in their metadata. The name is sent with them as that field and is
   * their decision's `requestId`; "": this one goes without. Default: all do. */
  ids?: { next(): string };
  /** The carrier's clock. Default: the system's. */
  clock?: Clock;
  /** Told every call's decision, before the call's own onDecision. */
  onDecision?: (decision: Decision) => void;
  userAgent?: string;
}

/** What an outgoing call inherits. */
export interface AmbientCall {
  /** Monotonic ms, on the client's clock; Infinity for none. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  /** Fields that pass on (traceparent, lane), flat and lower-case; null for none. */
  readonly extraFields: readonly string[] | null;
  /** The number of the attempt that is being served, when the caller that made it is believed; above 1 nothing is retried for it. */
  readonly callerAttempt?: number;
  readonly requestId?: string;
}

/**
 * Wraps every call of a client, unary and streaming alike. Composed once, when the client is made; the first of a list is outermost.
 *
 *     const log: ClientInterceptor = (next) => async (request) => {
 *       request.metadata.set("x-tenant", "acme");
 *       return await next(request);
 *     };
 */
export type ClientInterceptor = (next: ClientHandler) => ClientHandler;
export type ClientHandler = (request: ClientRequest) => Promise<ClientResponse>;

export interface ClientRequest {
  readonly method: DescMethod;
  /** One message (or its initialiser), or the stream of them for client_streaming and bidi_streaming methods. */
  readonly message: object | Messages<object>;
  /** What will be sent; interceptors change it in place. */
  readonly metadata: Metadata;
  /** The call's options but metadata. */
  readonly options: Omit<CallOptions, "metadata">;
}

export interface ClientResponse {
  /** One message, or the stream of them for server_streaming and bidi_streaming methods. */
  readonly message: object | AsyncIterable<object>;
}
