import { type Code, codeNumber } from "../../../core/errors.ts";
import { EventKind } from "../../../policy/resource/conditions.ts";
import type { EffectivePolicy } from "../../../policy/snapshot/effective-policy.ts";
import { compact, type Document, extension, seconds } from "./document.ts";

/** What the server certainly did not process is tried again whatever the method is. */
const UNPROCESSED = ["connect-failure", "refused-stream", "reset-before-request"];
const EVENTS: Readonly<Record<string, string>> = {
  "connect-failure": "connect-failure",
  refused: "refused-stream",
  reset: "reset",
  protocol: "reset",
  timeout: "reset",
};
/** Envoy's names for gRPC statuses; it knows five. gRPC clients know the same (gRFC A44). */
const GRPC_CONDITIONS: Readonly<Record<string, string>> = {
  cancelled: "cancelled",
  deadline_exceeded: "deadline-exceeded",
  internal: "internal",
  resource_exhausted: "resource-exhausted",
  unavailable: "unavailable",
};

/**
 * config.route.v3.RetryPolicy. A call that is not idempotent is retried only where the server did nothing with it, unless policy says otherwise: that is why routes are
 * split by method (call-routes.ts). Undefined: neither retries nor a time-out of one attempt.
 */
export function retryPolicy(policy: EffectivePolicy, idempotent: boolean): Document | undefined {
  const made = idempotent ? OF_IDEMPOTENT : OF_OTHERS;
  if (!made.has(policy)) made.set(policy, makeRetryPolicy(policy, idempotent));
  return made.get(policy);
}

/** A policy is that of many routes. */
const OF_IDEMPOTENT = new WeakMap<EffectivePolicy, Document | undefined>();
const OF_OTHERS = new WeakMap<EffectivePolicy, Document | undefined>();

function makeRetryPolicy(policy: EffectivePolicy, idempotent: boolean): Document | undefined {
  const { retry, perTryTimeout } = policy;
  // An attempt that would go on, and beside which nothing follows, has no time of its own.
  const untimed =
    perTryTimeout === Number.POSITIVE_INFINITY || (policy.hedge?.onTryTimeout && !hedges(policy, idempotent));
  const perTry = untimed ? undefined : seconds(perTryTimeout);
  if (retry.attempts === 0) return perTry === undefined ? undefined : { num_retries: 0, per_try_timeout: perTry };
  const on = new Set(UNPROCESSED);
  const statuses = new Set<number>();
  const grpc = new Set<number>();
  if (idempotent || retry.nonIdempotent) {
    for (const name of retry.on.names) {
      if (Object.hasOwn(EVENTS, name)) on.add(EVENTS[name]);
      else if (name === "5xx") for (let status = 500; status < 600; status++) statuses.add(status);
      else if (name === "gateway-error") for (const status of [502, 503, 504]) statuses.add(status);
      else if (/^\d+$/.test(name)) statuses.add(Number(name));
      else if (Object.hasOwn(GRPC_CONDITIONS, name)) on.add(GRPC_CONDITIONS[name]);
      else if (codeNumber(name as Code) !== undefined) grpc.add(codeNumber(name as Code));
    }
  }
  if (statuses.size > 0) on.add("retriable-status-codes");
  if (grpc.size > 0) on.add("retriable-headers");
  const resets = [{ name: "retry-after", format: "SECONDS" }].concat(
    retry.resetHeaders.map(({ name, format }) => ({
      name,
      format: format === "seconds" ? "SECONDS" : "UNIX_TIMESTAMP",
    })),
  );
  return compact({
    retry_on: [...on].join(","),
    num_retries: retry.attempts,
    per_try_timeout: perTry,
    retriable_status_codes: statuses.size === 0 ? undefined : [...statuses],
    retriable_headers:
      grpc.size === 0
        ? undefined
        : Array.from(grpc, (code) => ({ name: "grpc-status", string_match: { exact: String(code) } })),
    retry_host_predicate: [
      extension(
        "envoy.retry_host_predicates.previous_hosts",
        "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
      ),
    ],
    host_selection_retry_max_attempts: "5",
    retry_back_off: {
      base_interval: seconds(retry.baseMs),
      max_interval: seconds(Math.max(retry.baseMs, retry.maxMs)),
    },
    rate_limited_retry_back_off: { reset_headers: resets, max_interval: seconds(retry.maxPushbackMs) },
  });
}

/** Whether an attempt over its time goes on beside the retry that follows it: Envoy makes one whatever `retry_on` says, weft where time-outs are retried. */
export function hedges({ hedge, perTryTimeout, retry }: EffectivePolicy, idempotent: boolean): boolean {
  if (hedge?.onTryTimeout !== true || perTryTimeout === Number.POSITIVE_INFINITY) return false;
  return retry.attempts > 0 && (idempotent || retry.nonIdempotent) && retry.on.hasEvent(EventKind.timeout);
}

/** The part of it that gRPC clients read: statuses, attempts and back-off. They call UNAVAILABLE what never reached a server. */
export function grpcRetryPolicy({ retry }: EffectivePolicy, idempotent: boolean): Document | undefined {
  if (retry.attempts === 0 || !(idempotent || retry.nonIdempotent)) return undefined;
  const on = new Set<string>();
  for (const name of retry.on.names) {
    if (Object.hasOwn(GRPC_CONDITIONS, name)) on.add(GRPC_CONDITIONS[name]);
    else if (Object.hasOwn(EVENTS, name) && name !== "timeout") on.add("unavailable");
  }
  if (on.size === 0) return undefined;
  return {
    retry_on: [...on].join(","),
    num_retries: retry.attempts,
    retry_back_off: {
      base_interval: seconds(retry.baseMs),
      max_interval: seconds(Math.max(retry.baseMs, retry.maxMs)),
    },
  };
}
