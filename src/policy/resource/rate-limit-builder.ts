import { durationText, policyName, type TargetInput, targetOf } from "./builder-parts.ts";
import {
  type Duration,
  type RateLimitKey,
  type RateLimitSpec,
  type Resource,
  type TargetRef,
  WEFT_API,
} from "./resources.ts";

/**
 * Makes a RateLimit. Every method gives a new builder and leaves the old one as it was.
 *
 *     rateLimit("orders").allow(100).burst(200).by("address")
 */
export interface RateLimitBuilder {
  /** Also for this target. Calls to all targets share the buckets. */
  and(target: TargetInput): RateLimitBuilder;
  /** So many requests in `per` (default a second). Numbers are milliseconds. */
  allow(requests: number, per?: Duration | number): RateLimitBuilder;
  /** Size of the bucket; default: the requests allowed in `per`. */
  burst(requests: number): RateLimitBuilder;
  /** A bucket for each caller's address, identity, or value of a header; default one for all. */
  by(key: Exclude<RateLimitKey["by"], "header">): RateLimitBuilder;
  byHeader(name: string): RateLimitBuilder;
  /** The limit holds for the whole system together: the shared limiter is asked. */
  shared(): RateLimitBuilder;
  named(name: string): RateLimitBuilder;
  resources(): readonly Resource[];
}

/** Begins a limit of 100 requests a second for a service, a method ("a.B/C"), the system ("*"), or a target in full. */
export function rateLimit(target: TargetInput): RateLimitBuilder {
  return make(null, [targetOf(target)], { requests: 100 });
}

function make(name: string | null, targetRefs: readonly TargetRef[], spec: RateLimitSpec): RateLimitBuilder {
  const change = (changes: Partial<RateLimitSpec>): RateLimitBuilder => make(name, targetRefs, { ...spec, ...changes });
  return {
    and: (target) => make(name, [...targetRefs, targetOf(target)], spec),
    allow: (requests, per) => change({ requests, ...(per === undefined ? {} : { per: durationText(per) }) }),
    burst: (burst) => change({ burst }),
    by: (by) => change({ key: { by } }),
    byHeader: (header) => change({ key: { by: "header", header } }),
    shared: () => change({ scope: "system" }),
    named: (chosen) => make(chosen, targetRefs, spec),
    resources: () => [
      {
        apiVersion: WEFT_API,
        kind: "RateLimit",
        metadata: { name: name ?? policyName(targetRefs[0]) },
        spec: { targetRefs, ...spec },
      },
    ],
  };
}
