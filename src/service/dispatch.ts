import type { InboundCall } from "../call/inbound.ts";
import { httpBindings } from "../contract/http-rule.ts";
import { createRestRouter, type RestRouter } from "../contract/rest-router.ts";
import { trailersOfError } from "../contract/status.ts";
import { WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import { didYouMean } from "../core/suggest.ts";
import { LOAD_FORMAT_FIELD } from "../policy/balance/load-report.ts";
import { normalPath } from "../policy/route/normal-path.ts";
import { parseGrpcTimeout } from "../wire/grpc/timeout.ts";
import { type Head, responseHead } from "../wire/head.ts";
import type { HttpStream, RequestHandler } from "../wire/stream.ts";
import type { AnyServiceDefinition } from "./definition.ts";
import type { ServerEnvironment } from "./environment.ts";
import { GatedPlan } from "./gated-plan.ts";
import type { GrpcPlan } from "./grpc-exchange.ts";
import { GrpcStreamExchange } from "./grpc-stream.ts";
import { GrpcUnaryExchange } from "./grpc-unary.ts";
import type { ServerInterceptor } from "./interceptor.ts";
import { type BoundMethod, bindMethods } from "./method.ts";
import { answerProbe } from "./probes.ts";
import { answer, discardBody } from "./rejection.ts";
import { planRest, rejectRest } from "./rest-plan.ts";
import type { ServerStatus } from "./server-status.ts";

/** What one request head leads to. Kept in the head's memo, so that a head that comes again is looked up once. */
export interface RequestPlan {
  /** `gated`: policy let the call pass and is owed its end; null when it had no say. */
  start(stream: HttpStream, head: Head, fin: boolean, gated: InboundCall | null): void;
}

export interface DispatcherOptions {
  definitions: readonly AnyServiceDefinition[];
  environment: ServerEnvironment;
  status: ServerStatus;
  /** Around every call of every definition, outside of the definition's own. */
  interceptors?: readonly ServerInterceptor[];
}

/**
 * Serves definitions on one port: gRPC over HTTP/2, REST by google.api.http over any version, /healthz and /readyz.
 *
 *     content-type application/grpc --> method by path ----> unary | stream exchange
 *     /healthz, /readyz --------------> probe
 *     anything else ------------------> REST router -------> REST exchange | 404, 405, 415
 *
 * Throws `invalid_argument` when two definitions serve the same service or the same REST path.
 */
export function createDispatcher(options: DispatcherOptions): RequestHandler {
  return new Dispatcher(options);
}

class Dispatcher implements RequestHandler {
  readonly #environment: ServerEnvironment;
  readonly #status: ServerStatus;
  readonly #methods: ReadonlyMap<string, BoundMethod>;
  readonly #rest: RestRouter<BoundMethod>;

  constructor({ definitions, environment, status, interceptors = [] }: DispatcherOptions) {
    this.#environment = environment;
    this.#status = status;
    const methods = definitions.flatMap((definition) => bindMethods(definition, interceptors));
    this.#methods = new Map(methods.map((method) => [method.path, method]));
    if (this.#methods.size !== methods.length) {
      const name = definitions
        .map(({ desc }) => desc.typeName as string)
        .find((each, index, all) => all.indexOf(each) !== index);
      throw new WeftError("invalid_argument", `service ${name} is defined twice; serve one of the definitions`, {
        reason: "DUPLICATE_SERVICE",
      });
    }
    this.#rest = createRestRouter(
      methods.flatMap((target) => httpBindings(target.desc).map((binding) => ({ binding, target }))),
    );
  }

  onRequest(stream: HttpStream, head: Head, fin: boolean): void {
    let plan: RequestPlan;
    if (head.memo instanceof Planned && head.memo.by === this) plan = head.memo.plan;
    else {
      plan = this.#plan(head);
      head.memo = new Planned(this, plan);
    }
    plan.start(stream, head, fin, null);
  }

  #plan(head: Head): RequestPlan {
    const contentType = fieldOf(head.fields, "content-type") ?? "";
    if (contentType.startsWith("application/grpc")) return this.#planGrpc(head, contentType);
    const question = head.path.indexOf("?");
    // What policy sees, so that "/v1/admin/x/../../public" is not one path to its rules and another to the router.
    const path = normalPath(question < 0 ? head.path : head.path.slice(0, question));
    const query = question < 0 ? "" : head.path.slice(question + 1);
    if (path === "/healthz" || path === "/readyz") return answerProbe(path, head.method, this.#status);
    if (this.#methods.has(path)) {
      return rejectRest(
        new WeftError(
          "invalid_argument",
          `${path} is a gRPC method: POST it with content-type application/grpc over HTTP/2, not "${contentType}"`,
          { reason: "UNSUPPORTED_MEDIA_TYPE" },
        ),
        ["accept-post", "application/grpc"],
      );
    }
    return planRest(this.#rest, this.#environment, head, path, query);
  }

  #planGrpc(head: Head, contentType: string): RequestPlan {
    if (!GRPC_CONTENT_TYPE.test(contentType)) {
      return rejectRest(
        new WeftError(
          "invalid_argument",
          `content-type "${contentType}" is not served here; send application/grpc or application/grpc+proto`,
          { reason: "UNSUPPORTED_MEDIA_TYPE" },
        ),
        ["accept-post", "application/grpc"],
      );
    }
    if (head.method !== "POST") {
      return rejectRest(
        new WeftError("unimplemented", `gRPC calls are POST requests, not ${head.method}`, {
          reason: "METHOD_NOT_ALLOWED",
        }),
        ["allow", "POST"],
      );
    }
    const method = this.#methods.get(head.path);
    if (method === undefined) return rejectGrpc(this.#unknownMethod(head.path));
    const requestEncoding = fieldOf(head.fields, "grpc-encoding") ?? "identity";
    if (requestEncoding !== "identity" && requestEncoding !== "gzip") {
      return rejectGrpc(
        new WeftError("unimplemented", `grpc-encoding "${requestEncoding}" is not supported; use gzip or identity`, {
          reason: "UNSUPPORTED_ENCODING",
        }),
      );
    }
    const timeout = fieldOf(head.fields, "grpc-timeout");
    const timeoutMs = timeout === undefined ? method.options.defaultTimeoutMs : parseGrpcTimeout(timeout);
    if (timeoutMs === null) {
      return rejectGrpc(
        new WeftError(
          "invalid_argument",
          `grpc-timeout "${timeout}" is malformed; it is at most 8 digits and one of H M S m u n`,
          { reason: "BAD_TIMEOUT" },
        ),
      );
    }
    const plan = new GrpcRequestPlan({
      method,
      environment: this.#environment,
      requestGzip: requestEncoding === "gzip",
      // As other servers do: whoever compresses its requests gets compressed responses, nobody else pays for them.
      responseGzip:
        requestEncoding === "gzip" &&
        (fieldOf(head.fields, "grpc-accept-encoding") ?? "").split(",").some((name) => name.trim() === "gzip"),
      timeoutMs,
      load: fieldOf(head.fields, LOAD_FORMAT_FIELD) === undefined ? null : this.#environment.load,
    });
    const { buffers, gates } = this.#environment;
    return gates === null || !method.counted
      ? plan
      : new GatedPlan(plan, gates, buffers, method, head, timeoutMs, true);
  }

  #unknownMethod(path: string): WeftError {
    const slash = path.lastIndexOf("/");
    const service = path.slice(1, slash);
    const siblings = [...this.#methods.keys()].filter((known) => known.startsWith(`/${service}/`));
    if (path.length > 256 || slash < 1)
      return new WeftError("unimplemented", "the path is not that of a gRPC method, /package.Service/Method", {
        reason: "METHOD_UNKNOWN",
      });
    if (siblings.length > 0) {
      return new WeftError(
        "unimplemented",
        `service ${service} has no method "${path.slice(slash + 1)}"${didYouMean(path, siblings)}`,
        { reason: "METHOD_UNKNOWN" },
      );
    }
    const services = new Set([...this.#methods.keys()].map((known) => known.slice(1, known.lastIndexOf("/"))));
    return new WeftError("unimplemented", `service "${service}" is not served here${didYouMean(service, services)}`, {
      reason: "SERVICE_UNKNOWN",
    });
  }
}

/** A plan in a head's memo, with whose it is. */
class Planned {
  readonly by: Dispatcher;
  readonly plan: RequestPlan;

  constructor(by: Dispatcher, plan: RequestPlan) {
    this.by = by;
    this.plan = plan;
  }
}

class GrpcRequestPlan implements RequestPlan {
  readonly #plan: GrpcPlan;
  readonly #unary: boolean;

  constructor(plan: GrpcPlan) {
    this.#plan = plan;
    this.#unary = plan.method.kind === "unary";
  }

  start(stream: HttpStream, head: Head, fin: boolean, gated: InboundCall | null): void {
    if (stream.connection.version !== "2") {
      gated?.ended(505, -1);
      NEEDS_HTTP2.start(stream, head, fin, null);
      return;
    }
    if (this.#unary) {
      const exchange = new GrpcUnaryExchange(this.#plan, stream, head, gated);
      stream.sink = exchange;
      if (fin) exchange.noBody();
      return;
    }
    const exchange = new GrpcStreamExchange(this.#plan, stream, head, gated);
    stream.sink = exchange;
    exchange.start();
    if (fin) exchange.noBody();
  }
}

function rejectGrpc(error: WeftError): RequestPlan {
  const head = responseHead(200, ["content-type", "application/grpc", ...trailersOfError(error)]);
  return {
    start(stream, request, fin) {
      if (stream.connection.version !== "2") {
        NEEDS_HTTP2.start(stream, request, fin, null);
        return;
      }
      if (!fin) discardBody(stream);
      stream.sendHead(head, null, true);
    },
  };
}

const GRPC_CONTENT_TYPE = /^application\/grpc(?:\+proto)?\s*(?:;|$)/;
const NEEDS_HTTP2 = answer(
  505,
  ["content-type", "application/problem+json"],
  Buffer.from(
    JSON.stringify({
      type: "about:blank",
      title: "HTTP Version Not Supported",
      status: 505,
      detail: "gRPC needs HTTP/2; this request came over HTTP/1.1",
      code: "unimplemented",
      reason: "HTTP2_REQUIRED",
    }),
  ),
);
