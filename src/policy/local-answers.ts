import { type Code, WeftError } from "../core/errors.ts";
import type { CallRequest, LocalResponse } from "./call.ts";
import type { FallbackSettings } from "./effective-policy.ts";
import type { RequestFacts } from "./request-facts.ts";

/** An answer that is an error. `message` says what a caller may know. */
export function errorAnswer(
  code: Code,
  status: number,
  reason: string,
  message: string,
  retryable = false,
  fields: readonly string[] = NO_FIELDS,
): LocalResponse {
  // Where in the machine it was made says nothing, and the trace would cost most of what refusing a call costs (12 of 13 us).
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = new WeftError(code, message, { reason, retryable });
  Error.stackTraceLimit = limit;
  return { error, status, fields, body: null };
}

export function fallbackAnswer({ status, fields, body }: FallbackSettings): LocalResponse {
  return { error: null, status, fields, body: body.length === 0 ? null : body };
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

const NO_FIELDS: readonly string[] = [];
