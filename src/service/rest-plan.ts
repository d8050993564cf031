import type { InboundCall } from "../call/inbound.ts";
import { formatBinding } from "../contract/http-rule.ts";
import { problemResponse } from "../contract/problem.ts";
import type { RestRouter } from "../contract/rest-router.ts";
import { streamEncoder } from "../contract/transcode-stream.ts";
import { WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import { LOAD_FORMAT_FIELD } from "../policy/balance/load-report.ts";
import { parseGrpcTimeout } from "../wire/grpc/timeout.ts";
import type { Head } from "../wire/head.ts";
import type { HttpStream } from "../wire/stream.ts";
import type { RequestPlan } from "./dispatch.ts";
import type { ServerEnvironment } from "./environment.ts";
import { GatedPlan } from "./gated-plan.ts";
import type { BoundMethod } from "./method.ts";
import { answer } from "./rejection.ts";
import { acceptsGzip, RestExchange, type RestRequest } from "./rest-exchange.ts";

/** What a REST request leads to: its method by google.api.http, or why there is none (400, 404, 405; OPTIONS is answered here). */
export function planRest(
  router: RestRouter<BoundMethod>,
  environment: ServerEnvironment,
  head: Head,
  path: string,
  query: string,
): RequestPlan {
  if (head.method === "OPTIONS" && path === "*")
    return answer(204, ["allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"], null);
  try {
    const match = router.match(head.method, path);
    if (match.kind === "method-not-allowed") {
      const allow = match.allow.includes("OPTIONS") ? match.allow : `${match.allow}, OPTIONS`;
      if (head.method === "OPTIONS") return answer(204, ["allow", allow], null);
      return rejectRest(
        new WeftError("unimplemented", `${head.method} is not possible here; use ${match.allow}`, {
          reason: "METHOD_NOT_ALLOWED",
        }),
        ["allow", allow],
      );
    }
    if (match.kind === "not-found") {
      return rejectRest(new WeftError("not_found", "nothing is served at this path", { reason: "PATH_UNKNOWN" }));
    }
    const { binding, target } = match.route;
    const timeout = fieldOf(head.fields, "grpc-timeout");
    const timeoutMs = timeout === undefined ? target.options.defaultTimeoutMs : parseGrpcTimeout(timeout);
    if (timeoutMs === null)
      throw new WeftError("invalid_argument", `grpc-timeout "${timeout}" is malformed`, { reason: "BAD_TIMEOUT" });
    const plan = new RestRequestPlan({
      method: target,
      environment,
      binding,
      variables: match.variables,
      query,
      timeoutMs,
      safe: head.method === "GET" || head.method === "HEAD",
      withoutBody: head.method === "HEAD",
      gzip: acceptsGzip(fieldOf(head.fields, "accept-encoding") ?? ""),
      stream: target.kind === "server_streaming" ? streamEncoder(binding, fieldOf(head.fields, "accept") ?? "") : null,
      name: formatBinding(binding),
      load: fieldOf(head.fields, LOAD_FORMAT_FIELD) === undefined ? null : environment.load,
    });
    const { buffers, gates } = environment;
    return gates === null || !target.counted
      ? plan
      : new GatedPlan(plan, gates, buffers, target, head, timeoutMs, false);
  } catch (thrown) {
    if (thrown instanceof WeftError) return rejectRest(thrown);
    throw thrown;
  }
}

/** A constant answer of problem+json. */
export function rejectRest(error: WeftError, fields: readonly string[] = []): RequestPlan {
  const problem = problemResponse(error);
  return answer(problem.status, [...problem.fields, ...fields], problem.body);
}

class RestRequestPlan implements RequestPlan {
  readonly #request: RestRequest;

  constructor(request: RestRequest) {
    this.#request = request;
  }

  start(stream: HttpStream, head: Head, fin: boolean, gated: InboundCall | null): void {
    const exchange = new RestExchange(this.#request, stream, head, gated);
    stream.sink = exchange;
    if (fin) exchange.noBody();
  }
}
