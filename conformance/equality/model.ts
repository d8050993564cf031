import type { DataPlane } from "../../src/policy/check/enforcement.ts";
import type { Resource } from "../../src/policy/resource/resources.ts";

/** "ann" and "bob" are well, the others are not. */
export type TokenName = "ann" | "bob" | "expired" | "forged" | "strangers" | "elsewhere" | "garbled";

/** A system and what is asked of it: what the generator makes, and what is shrunk. */
export interface EqualityCase {
  readonly scope: Scope;
  readonly resources: readonly Resource[];
  readonly requests: readonly EqualityRequest[];
}

/**
 * Where the calls of a case come from, and so which places can be asked:
 *
 *     edge   from outside, to any host: gateways
 *     web    from a service to "web" (HTTP): sidecars, and gateways with the same routes
 *     rpc    from a service to "rpc" (gRPC): typed clients, sidecars, and gateways with the same routes
 *     in     arrived at "web" or "rpc": what their own side enforces, and gateways
 */
export type Scope = "edge" | "web" | "rpc" | "in";
export const SCOPES: readonly Scope[] = ["edge", "web", "rpc", "in"];

export interface EqualityRequest {
  readonly kind: "http" | "grpc";
  /** "GET"; of gRPC a method's name, "Read". */
  readonly method: string;
  /** With its query; of gRPC made of the method. */
  readonly path: string;
  /** The host it names; elsewhere than at the edge the service's name. */
  readonly host: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** How many bytes its body has, or of gRPC its message's text. Default none. */
  readonly body?: number;
  /** Whose token it shows (tokens.ts). Default nobody's. */
  readonly token?: TokenName;
  /** What each attempt of it meets at a backend, in their order; the last one also what follows. */
  readonly script: readonly Behaviour[];
}

export type Behaviour =
  | { readonly do: "answer"; readonly status: number; readonly retryAfter?: string }
  /** `messages` go before the status; default one before OK, none before another. */
  | {
      readonly do: "grpc";
      readonly code: number;
      readonly trailersOnly: boolean;
      readonly pushback?: string;
      readonly messages?: number;
    }
  /** The connection (HTTP/1.1) or stream (HTTP/2) is reset before anything was said. */
  | { readonly do: "reset" }
  /** A head and part of a body, then a reset. */
  | { readonly do: "cut" }
  /** Nothing is ever said. */
  | { readonly do: "hang" }
  /** An answer, but not at once. */
  | { readonly do: "late"; readonly afterMs: number }
  /** An answer that begins at once and takes its time. */
  | { readonly do: "long"; readonly forMs: number };

/** What a caller got. */
export interface Answer {
  /** 0: no head came. */
  readonly status: number;
  /** -1: none. */
  readonly grpcStatus: number;
  /** Of weft's own errors; "" where there is none. */
  readonly reason: string;
  /** It did not end as it should: reset, or shorter than said. */
  readonly broken: boolean;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly body: string;
}

/** What a backend saw of one attempt. */
export interface Attempt {
  /** "web@v1" */
  readonly backend: string;
  /** Which of the backend's endpoints. */
  readonly endpoint: number;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  /** Length and digest of its body, "" where there is none. */
  readonly body: string;
}

/** All that is compared of one request at one place. */
export interface Observation {
  readonly status: number;
  readonly grpcStatus: number;
  readonly reason: string;
  readonly broken: boolean;
  /** "backend" or "local": who made the answer. */
  readonly origin: string;
  readonly headers: string;
  readonly body: string;
  /** One line an attempt. */
  readonly attempts: readonly string[];
  readonly mirrors: readonly string[];
}
export type Aspect = keyof Observation;

/** A data plane under test. Its state is replaced whole by every `apply`. */
export interface Place {
  readonly name: string;
  /** Whose columns of the table of enforcement hold for it: an Envoy beside a service is an Envoy and a sidecar. */
  readonly planes: readonly DataPlane[];
  /** Whether its own answers carry weft's reasons. */
  readonly tellsReasons: boolean;
  takes(scope: Scope, request: EqualityRequest): boolean;
  /** Resolves when calls are decided by these and no others. */
  apply(scope: Scope, resources: readonly Resource[]): Promise<void>;
  call(scope: Scope, request: EqualityRequest, id: string): Promise<Answer>;
  close(): Promise<void>;
}
