import type { CallRequest, LocalResponse } from "../call.ts";
import type { CallDecision } from "../decision/decision.ts";
import { sourceOf } from "../decision/decision-steps.ts";
import { errorAnswer } from "../error-answer.ts";
import type { FixedAnswer } from "../resilience/fallback-field.ts";
import { EventKind } from "../resource/conditions.ts";
import { ms } from "../resource/duration.ts";
import { nearestMiss } from "../route/route-explanation.ts";
import { SessionRequest } from "../route/session-request.ts";
import type { Binding, Plan } from "../snapshot/snapshot.ts";
import type { RequestFacts } from "./request-facts.ts";

/** A fixed answer, as its caller can read it. */
export function fixedAnswer({ status, fields, body, grpc }: FixedAnswer, forGrpc: boolean): LocalResponse {
  if (!forGrpc || grpc === null) return { error: null, status, fields, body: body.length === 0 ? null : body };
  if (grpc.code !== "ok") return errorAnswer(grpc.code, status, "FALLBACK", grpc.message);
  return { error: null, status: 200, fields: ["content-type", "application/grpc"], body: grpc.body };
}

/** The answer, or what was to come of it, stayed away. */
export function idleAnswer({ binding }: CallDecision, idleMs: number): LocalResponse {
  const message = `${binding?.name ?? "the service"}: no byte either way for ${ms(idleMs)}`;
  return errorAnswer("deadline_exceeded", 504, "IDLE_TIMEOUT", message);
}

export function redirectAnswer(request: CallRequest, facts: RequestFacts): LocalResponse {
  const redirect = facts.match?.plan.rule.redirect;
  const scheme = redirect?.scheme ?? request.scheme;
  const authority = redirect?.hostname ?? request.authority.replace(/:\d+$/, "");
  const port =
    redirect?.port ?? (redirect?.scheme === undefined ? Number(/:(\d+)$/.exec(request.authority)?.[1] ?? 0) : 0);
  const standard = scheme === "https" ? 443 : 80;
  const where = port === 0 || port === standard ? authority : `${authority}:${port}`;
  const location = `${scheme}://${where}${facts.rewritePath || request.path}`;
  return { error: null, status: redirect?.statusCode ?? 302, fields: ["location", location], body: null };
}

export function noRouteAnswer(request: CallRequest, { grpc, snapshot }: RequestFacts): LocalResponse {
  const { method, path } = request;
  if (request instanceof SessionRequest) {
    const at = `listener ${request.listener} (port ${request.port})`;
    const asked = request.authority === "" ? "" : ` for server name ${request.authority}`;
    return errorAnswer("not_found", 404, "NO_ROUTE", `no ${method}Route is for sessions at ${at}${asked}`);
  }
  const bare = path.split("?", 1)[0];
  const miss = nearestMiss(snapshot.gatewayOrder, request, false);
  const near =
    miss === null
      ? ""
      : `; the nearest route is ${miss.rule.text.split(" -> ", 1)[0]}${miss.why === "" ? "" : `, which ${miss.why}`}`;
  return errorAnswer(
    grpc ? "unimplemented" : "not_found",
    404,
    "NO_ROUTE",
    `no route matches ${method} ${bare}${near}`,
  );
}

export function noBackendAnswer({ rule }: Plan): LocalResponse {
  return errorAnswer("unavailable", 503, "NO_BACKEND", `route ${rule.text} has no backend with a weight`);
}

export function breakerAnswer({ name }: Binding, reopensMs: number): LocalResponse {
  const message = `the breaker of ${name} is open: it failed too often; a probe goes in ${ms(reopensMs)}`;
  return errorAnswer("unavailable", 503, "BREAKER_OPEN", message, true);
}

export function overflowAnswer({ name }: Binding): LocalResponse {
  const message = `${name} has as many calls in flight as its limits allow`;
  return errorAnswer("resource_exhausted", 503, "OVERFLOW", message, true);
}

/** `known`: how many endpoints of the service there are, healthy or not. */
export function noEndpointAnswer({ name, group }: Binding, known: number): LocalResponse {
  const message =
    known === 0
      ? `no endpoint of ${group.service} is known; is it running and registered?`
      : `none of the ${known} known endpoints of ${group.service} is a healthy one of ${name}`;
  return errorAnswer("unavailable", 503, "NO_HEALTHY_ENDPOINT", message, true);
}

export function deadlineAnswer(decision: CallDecision): LocalResponse {
  const limit = ms(decision.deadline - decision.startedAt);
  const from = decision.deadlineOfCaller ? "the caller's deadline" : sourceOf(decision, "timeout");
  const message = `no complete answer from ${decision.binding?.name ?? "the service"} within ${limit} (${from})`;
  return errorAnswer("deadline_exceeded", 504, "DEADLINE_EXCEEDED", message);
}

/** The last attempt was lost, or timed out, and no other follows. */
export function upstreamAnswer(
  { attempts }: CallDecision,
  { name }: Binding,
  event: EventKind,
  said: string,
  unprocessed: boolean,
): LocalResponse {
  const last = attempts.at(-1);
  const text = said || last?.message || last?.outcome || "";
  const where = text.includes(name) ? "" : `${name}: `; // an endpoint may be named by its address
  const message = `${where}${text}${attempts.length > 1 ? ` (attempt ${attempts.length})` : ""}`;
  if (event === EventKind.timeout) return errorAnswer("deadline_exceeded", 504, "ATTEMPT_TIMEOUT", message);
  const status = event === EventKind.reset || event === EventKind.protocol ? 502 : 503;
  return errorAnswer("unavailable", status, UPSTREAM_REASONS[event], message, unprocessed);
}

/** By EventKind. */
const UPSTREAM_REASONS = [
  "UPSTREAM_CONNECT",
  "UPSTREAM_RESET",
  "UPSTREAM_REFUSED",
  "UPSTREAM_PROTOCOL",
  "UPSTREAM_OVERFLOW",
];
