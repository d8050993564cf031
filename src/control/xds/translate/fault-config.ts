import { codeNumber } from "../../../core/errors.ts";
import type { EffectivePolicy } from "../../../policy/snapshot/effective-policy.ts";
import { compact, type Document, fractionOf, seconds, typed } from "./document.ts";

export const FAULT = "envoy.filters.http.fault";
const HTTP_FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault";

/** What a policy's faults are to Envoy: delays of a fixed time, aborts, throttles. Null where nothing of it is left. */
export function faultConfig({ fault }: EffectivePolicy, grpc: boolean): Document | null {
  if (fault === null) return null;
  const { delay, abort, throttle, match, maxActive } = fault;
  const config = compact({
    delay:
      delay?.kind === "fixed" ? { fixed_delay: seconds(delay.ms), percentage: fractionOf(delay.percent) } : undefined,
    abort:
      abort === null
        ? undefined
        : {
            ...(grpc && abort.code !== null ? { grpc_status: codeNumber(abort.code) } : { http_status: abort.status }),
            percentage: fractionOf(abort.percent),
          },
    response_rate_limit:
      throttle === null
        ? undefined
        : {
            fixed_limit: { limit_kbps: String(Math.max(1, Math.round(throttle.bytesPerSecond / 1024))) },
            percentage: fractionOf(throttle.percent),
          },
  });
  if (Object.keys(config).length === 0) return null;
  return typed(HTTP_FAULT, {
    ...config,
    ...(match.length === 0
      ? {}
      : {
          headers: match.map(({ name, value }) =>
            value === undefined ? { name, present_match: true } : { name, string_match: { exact: value } },
          ),
        }),
    ...(maxActive === Number.POSITIVE_INFINITY ? {} : { max_active_faults: maxActive }),
  });
}
