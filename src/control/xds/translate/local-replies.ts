import { trailersOfError } from "../../../contract/status.ts";
import { type Code, WeftError } from "../../../core/errors.ts";
import { reasonPhrase } from "../../../core/reason-phrase.ts";
import { UNREACHED_FIELD } from "../../../policy/machine/unreached.ts";
import { compact, type Document, typed } from "./document.ts";

/**
 * What Envoy answers of its own, in weft's words (docs/errors.md): the same status, application/problem+json with the same code and reason, and for gRPC callers the
 * reason in grpc-status-details-bin. What Envoy says in its own words stands in `detail`.
 */
interface Reply {
  readonly when: Document;
  readonly status: number;
  readonly code: Code;
  readonly reason: string;
  readonly retryable?: boolean;
  /** Envoy would make another gRPC status of the HTTP status than `code`. */
  readonly says?: true;
}

const flags = (...names: string[]): Document => ({ response_flag_filter: { flags: names } });
const details = (expression: string): Document => ({
  extension_filter: {
    name: "cel",
    typed_config: typed("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", { expression }),
  },
});

const REPLIES: readonly Reply[] = [
  { when: flags("NR"), status: 404, code: "not_found", reason: "NO_ROUTE" },
  {
    when: details("response.code_details == 'local_rate_limited'"),
    status: 429,
    code: "resource_exhausted",
    reason: "RATE_LIMITED",
    retryable: true,
  },
  { when: flags("FI"), status: 0, code: "unavailable", reason: "FAULT_ABORT" },
  {
    when: details("response.code_details.startsWith('rbac_access_denied')"),
    status: 403,
    code: "permission_denied",
    reason: "FORBIDDEN",
  },
  {
    when: details("response.code_details.contains('Jwt_is_missing')"),
    status: 401,
    code: "unauthenticated",
    reason: "AUTHENTICATION_REQUIRED",
  },
  {
    when: details("response.code_details.contains('Jwks_remote_fetch_is_failed')"),
    status: 503,
    code: "unavailable",
    reason: "AUTHENTICATION_UNAVAILABLE",
    retryable: true,
  },
  {
    when: details("response.code_details.startsWith('jwt_authn_access_denied')"),
    status: 401,
    code: "unauthenticated",
    reason: "TOKEN_INVALID",
  },
  { when: flags("UO"), status: 503, code: "resource_exhausted", reason: "OVERFLOW", retryable: true, says: true },
  { when: flags("UH", "NC"), status: 503, code: "unavailable", reason: "NO_HEALTHY_ENDPOINT", retryable: true },
  {
    when: details("response.code_details == 'upstream_per_try_timeout'"),
    status: 504,
    code: "deadline_exceeded",
    reason: "ATTEMPT_TIMEOUT",
    says: true,
  },
  { when: flags("UT", "UMSDR", "DT"), status: 504, code: "deadline_exceeded", reason: "DEADLINE_EXCEEDED", says: true },
  { when: flags("SI"), status: 504, code: "deadline_exceeded", reason: "IDLE_TIMEOUT", says: true },
  { when: flags("UPE"), status: 502, code: "unavailable", reason: "UPSTREAM_PROTOCOL" },
  { when: flags("UF"), status: 503, code: "unavailable", reason: "UPSTREAM_CONNECT", retryable: true },
  { when: flags("UC", "UR", "LR"), status: 502, code: "unavailable", reason: "UPSTREAM_RESET" },
];

/**
 * LocalReplyConfig of an HttpConnectionManager. The first mapper that holds is taken. `inbound`: before an application; callers are told where a call did not reach it
 * (policy/machine/unreached.ts).
 */
export function localReplies(inbound: boolean): Document {
  const made = inbound ? INBOUND : ELSEWHERE;
  made.mappers ??= REPLIES.flatMap((reply) => [grpcMapper(reply, inbound), httpMapper(reply, inbound)]);
  return made;
}

const INBOUND: { mappers?: Document[] } = {};
const ELSEWHERE: { mappers?: Document[] } = {};

const setField = (key: string, value: string): Document => ({
  header: { key, value },
  append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
});

const unreached = ({ reason }: Reply, inbound: boolean): Document[] =>
  inbound && reason === "UPSTREAM_CONNECT" ? [setField(UNREACHED_FIELD, "1")] : [];

function httpMapper(reply: Reply, inbound: boolean): Document {
  const { when, status, code, reason, retryable } = reply;
  const add = unreached(reply, inbound);
  return compact({
    filter: when,
    headers_to_add: add.length === 0 ? undefined : add,
    status_code: status === 0 ? undefined : status,
    body_format_override: {
      json_format: compact({
        type: "about:blank",
        title: status === 0 ? undefined : reasonPhrase(status),
        status: status === 0 ? "%RESPONSE_CODE%" : status,
        detail: "%LOCAL_REPLY_BODY%",
        code,
        reason,
        retryable,
      }),
      content_type: "application/problem+json",
    },
  });
}

/** Envoy makes trailers of it, with the body as the message. */
function grpcMapper(reply: Reply, inbound: boolean): Document {
  const { when, code, reason, retryable = false, says } = reply;
  const trailers = trailersOfError(new WeftError(code, "", { reason, retryable }));
  const add = unreached(reply, inbound);
  for (let i = 0; i < trailers.length; i += 2) {
    if (trailers[i] !== "grpc-status-details-bin" && !(says && trailers[i] === "grpc-status")) continue;
    add.push(setField(trailers[i], trailers[i + 1]));
  }
  return compact({
    filter: { and_filter: { filters: [IS_GRPC, when] } },
    headers_to_add: add.length === 0 ? undefined : add,
  });
}

const IS_GRPC: Document = {
  header_filter: { header: { name: "content-type", string_match: { prefix: "application/grpc" } } },
};

/** A route's own answer where policy leaves nothing else: as problemResponse writes it. */
export function problemAnswer(status: number, code: Code, reason: string, detail: string): Document {
  return {
    direct_response: {
      status,
      body: {
        inline_string: JSON.stringify({
          type: "about:blank",
          title: reasonPhrase(status),
          status,
          detail,
          code,
          reason,
        }),
      },
    },
    response_headers_to_add: [
      {
        header: { key: "content-type", value: "application/problem+json" },
        append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
      },
    ],
  };
}
