import { WeftError } from "../core/errors.ts";
import type { CallRequest } from "../policy/call.ts";
import type { BoundMethod } from "../service/method.ts";
import { EMPTY } from "./answer.ts";
import type { CallOptions, RequestSpec } from "./types.ts";

/** A request ready to be sent as often as is wanted. */
export interface SimRequest {
  /** "GET /v1/products", as explanations name it. */
  readonly title: string;
  readonly head: CallRequest;
  /** As the caller sent it, when it was turned into another (REST transcoded to gRPC). */
  readonly asSent: CallRequest | null;
  readonly grpc: boolean;
  readonly body: Uint8Array;
  /** The request message, for handlers; null when there are only bytes. */
  readonly message: unknown;
  readonly service: string;
  readonly spec: RequestSpec;
  readonly method: BoundMethod | null;
}

/** Throws `invalid_argument` for what is no request. */
export function createRequest(request: string | RequestSpec, options: CallOptions = {}): SimRequest {
  const spec: RequestSpec = { ...(typeof request === "string" ? parseRequest(request) : request), ...defined(options) };
  const grpc = spec.grpcMethod !== undefined;
  const method = grpc ? "POST" : (spec.method ?? "GET").toUpperCase();
  const path = grpc ? `/${spec.grpcMethod?.replace(/^\//, "")}` : (spec.path ?? "/");
  if (!path.startsWith("/")) bad(`path "${path}" must begin with "/"`);
  const fields: string[] = grpc ? ["content-type", "application/grpc", "te", "trailers"] : [];
  for (const [name, value] of Object.entries(spec.headers ?? {})) fields.push(name.toLowerCase(), value);
  const body =
    spec.body === undefined ? EMPTY : typeof spec.body === "string" ? new TextEncoder().encode(spec.body) : spec.body;
  const head: CallRequest = {
    method,
    scheme: spec.secure ? "https" : "http",
    authority: spec.host ?? "shop",
    path,
    protocol: "",
    fields,
    memo: null,
  };
  const title = grpc ? path.slice(1) : `${method} ${path}`;
  return {
    title,
    head,
    asSent: null,
    grpc,
    body,
    message: spec.message ?? null,
    service: spec.service ?? "",
    spec,
    method: null,
  };
}

/** "GET /v1/products", "/v1/products", "shop.v1.Products/Get". */
function parseRequest(text: string): RequestSpec {
  const http = /^(?:([A-Za-z]+)\s+)?(\/\S*)$/.exec(text.trim());
  if (http !== null) return { method: http[1] ?? "GET", path: http[2] };
  if (/^[A-Za-z_][\w.]*\/[A-Za-z_]\w*$/.test(text.trim())) return { grpcMethod: text.trim() };
  return bad(`"${text}" is no request; write "GET /v1/products", or "shop.v1.Products/Get" for gRPC`);
}

function defined<T extends object>(from: T): Partial<T> {
  return Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function bad(message: string): never {
  throw new WeftError("invalid_argument", message, { reason: "BAD_REQUEST" });
}
