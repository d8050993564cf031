import { type Code, codeNumber } from "../../core/errors.ts";
import { httpStatusOfGrpc } from "../../core/grpc-status.ts";
import { POSITIVE } from "../resource/common-shapes.ts";
import { CONDITION_NAMES, EVENT_NAMES } from "../resource/conditions.ts";
import { durationMs } from "../resource/duration.ts";
import { compileMatches, type HeaderMatch, headerMatches } from "../resource/header-match.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import type { Duration } from "../resource/resources.ts";
import { bool, list, number, object, oneOf, text } from "../resource/shape.ts";

/**
 * Failures on purpose. Semantics of Envoy's HTTP fault filter (delay, abort, response_rate_limit, headers, max_active_faults, percentages, and faults that
 * a caller asks for by header), with a reset beside them; each kind is drawn for itself, delay first. Every kind's `percent` is 100 when absent.
 */
export interface FaultSpec {
  /** False: no faults, whatever a less specific policy says. Default true. */
  readonly enabled?: boolean;
  readonly delay?: FaultDelaySpec;
  readonly abort?: FaultAbortSpec;
  readonly reset?: { readonly percent?: number };
  readonly throttle?: FaultThrottleSpec;
  /** Only calls with all of these header fields. */
  readonly match?: readonly HeaderMatch[];
  /** Callers may ask for faults with the header field `weft-fault`. Absent: the field has no effect. */
  readonly byHeader?: FaultByHeaderSpec;
  /** Calls that suffer a fault at the same time, in this process; more go on without. Default unlimited. */
  readonly maxActive?: number;
}

/** How long a call is held back: exactly `fixed`, evenly between `min` and `max`, or exponentially around `mean` (at most ten times as long). */
export interface FaultDelaySpec {
  readonly fixed?: Duration;
  readonly min?: Duration;
  readonly max?: Duration;
  readonly mean?: Duration;
  /** 0 to 100. */
  readonly percent?: number;
}

/** The answer: an HTTP status, or a gRPC status by name. The other is made of it for callers of the other kind. */
export interface FaultAbortSpec {
  readonly status?: number;
  readonly grpcStatus?: string;
  readonly percent?: number;
}

/** How fast the response's body is delivered. */
export interface FaultThrottleSpec {
  readonly bytesPerSecond: number;
  readonly percent?: number;
}

export interface FaultByHeaderSpec {
  /** Identities, or subjects of an authenticated end user, that are listened to. Absent: whoever is authenticated. */
  readonly callers?: readonly string[];
  /** The most that a caller may ask for. Default 100. */
  readonly maxPercent?: number;
}

export interface FaultSettings {
  readonly delay: FaultDelay | null;
  readonly abort: FaultAbort | null;
  /** 0 to 100. */
  readonly resetPercent: number;
  readonly throttle: { readonly bytesPerSecond: number; readonly percent: number } | null;
  readonly match: readonly HeaderMatch[];
  readonly byHeader: { readonly callers: ReadonlySet<string> | null; readonly maxPercent: number } | null;
  readonly maxActive: number;
}

export interface FaultDelay {
  readonly kind: "fixed" | "uniform" | "exponential";
  /** fixed, exponential: the delay, or its mean; uniform: the shortest. */
  readonly ms: number;
  readonly maxMs: number;
  readonly percent: number;
}

export interface FaultAbort {
  readonly status: number;
  /** What a gRPC caller is told; null for a status that is no error. */
  readonly code: Code | null;
  readonly percent: number;
}

export const GRPC_CODE_NAMES: readonly string[] = CONDITION_NAMES.filter(
  (name) => !EVENT_NAMES.includes(name) && name !== "5xx" && name !== "gateway-error",
);

const percent = number(0, 100, false);

/** Its kinds count each for itself: a more specific policy that writes one keeps the less specific one's others. */
export const faultField: PolicyField<FaultSpec, FaultSettings | null> = {
  check: object({
    enabled: bool,
    delay: object(
      { fixed: POSITIVE, min: POSITIVE, max: POSITIVE, mean: POSITIVE, percent },
      [],
      (value, path, report) => {
        const { fixed, min, max, mean } = value as FaultDelaySpec;
        const ways = [fixed, min ?? max, mean].filter((way) => way !== undefined).length;
        if (ways !== 1) report(path, 'needs one of "fixed", "mean", or "min" with "max"');
        else if ((min === undefined) !== (max === undefined)) report(path, '"min" and "max" go together');
        else if (min !== undefined && durationMs(min) >= durationMs(max as string)) {
          report([...path, "max"], 'must be longer than "min"');
        }
      },
    ),
    abort: object(
      { status: number(200, 599, true), grpcStatus: oneOf(GRPC_CODE_NAMES), percent },
      [],
      (value, path, report) => {
        const { status, grpcStatus } = value as FaultAbortSpec;
        if ((status === undefined) === (grpcStatus === undefined))
          report(path, 'needs one of "status" and "grpcStatus"');
      },
    ),
    reset: object({ percent }),
    throttle: object({ bytesPerSecond: number(1, 10_000_000_000, true), percent }, ["bytesPerSecond"]),
    match: headerMatches,
    byHeader: object({ callers: list(text("an identity or a subject", /\S/), 1, 256), maxPercent: percent }),
    maxActive: number(0, 1_000_000, true),
  }),
  over: (under, spec) => ({ ...under, ...defined(spec) }),
  compile(spec) {
    if (spec === null || spec.enabled === false) return null;
    const { delay, abort, reset, throttle, match, byHeader, maxActive } = spec;
    if (
      delay === undefined &&
      abort === undefined &&
      reset === undefined &&
      throttle === undefined &&
      byHeader === undefined
    ) {
      return null;
    }
    return {
      delay: delay === undefined ? null : compileDelay(delay),
      abort: abort === undefined ? null : compileAbort(abort),
      resetPercent: reset === undefined ? 0 : (reset.percent ?? 100),
      throttle:
        throttle === undefined ? null : { bytesPerSecond: throttle.bytesPerSecond, percent: throttle.percent ?? 100 },
      match: compileMatches(match),
      byHeader:
        byHeader === undefined
          ? null
          : {
              callers: byHeader.callers === undefined ? null : new Set(byHeader.callers),
              maxPercent: byHeader.maxPercent ?? 100,
            },
      maxActive: maxActive ?? Number.POSITIVE_INFINITY,
    };
  },
};

function compileDelay({ fixed, min, max, mean, percent: share = 100 }: FaultDelaySpec): FaultDelay {
  if (fixed !== undefined) return { kind: "fixed", ms: durationMs(fixed), maxMs: durationMs(fixed), percent: share };
  if (mean !== undefined) {
    return { kind: "exponential", ms: durationMs(mean), maxMs: LONGEST_MEANS * durationMs(mean), percent: share };
  }
  return { kind: "uniform", ms: durationMs(min ?? "0s"), maxMs: durationMs(max ?? "0s"), percent: share };
}

function compileAbort({ status, grpcStatus, percent: share = 100 }: FaultAbortSpec): FaultAbort {
  return grpcStatus !== undefined ? abortWithCode(grpcStatus as Code, share) : abortWithStatus(status ?? 503, share);
}

export function abortWithCode(code: Code, share: number): FaultAbort {
  return { status: httpStatusOfGrpc(codeNumber(code)), code, percent: share };
}

/** Source of the code: gRPC's http-grpc-status-mapping.md. */
export function abortWithStatus(status: number, share: number): FaultAbort {
  return { status, code: status < 400 ? null : (GRPC_CODES[status] ?? "unknown"), percent: share };
}

/** An exponential delay is at most so many times its mean: one in 22,000 would be longer. */
const LONGEST_MEANS = 10;
const GRPC_CODES: Readonly<Record<number, Code>> = {
  400: "internal",
  401: "unauthenticated",
  403: "permission_denied",
  404: "unimplemented",
  429: "unavailable",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
};
