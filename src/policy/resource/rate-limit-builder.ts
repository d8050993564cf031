import type {
  HotKeySpec,
  RateLimitCost,
  RateLimitException,
  RateLimitKey,
  RateLimitKeyKind,
  RateLimitPlace,
  RateLimitSpec,
} from "../limit/rate-limit-spec.ts";
import { durationText, policyName, type TargetInput, targetOf } from "./builder-parts.ts";
import { type Duration, type Resource, type TargetRef, WEFT_API } from "./resources.ts";

/**
 * Makes a RateLimit. Every method gives a new builder and leaves the old one as it was.
 *
 *     rateLimit("orders").allow(100).burst(200).by("address")
 *     rateLimit("orders").inFlight(50, { queue: 100, maxWait: "2s" })
 */
export interface RateLimitBuilder {
  /** Also for this target. Calls to all targets share the buckets. */
  and(target: TargetInput): RateLimitBuilder;
  /** So many requests in `per` (default a second). Numbers are milliseconds. */
  allow(requests: number, per?: Duration | number): RateLimitBuilder;
  /** Size of the bucket; default: the requests allowed in `per`. */
  burst(requests: number): RateLimitBuilder;
  /** Never more than the requests allowed in any `per`, wherever it begins. */
  sliding(): RateLimitBuilder;
  /** Evenly spaced; calls may wait up to `maxWait` for their place. */
  spaced(maxWait?: Duration | number): RateLimitBuilder;
  /** So many calls in flight at once in place of a rate; `queue` of each key may wait, `maxWait` at most. */
  inFlight(calls: number, wait?: { queue: number; maxWait: Duration | number }): RateLimitBuilder;
  /** A count for each caller's address, identity, subject, or path; default one for all. After another `by`: for each combination. */
  by(key: Exclude<RateLimitKeyKind, NamedKey>): RateLimitBuilder;
  by(key: RateLimitKey): RateLimitBuilder;
  byHeader(name: string): RateLimitBuilder;
  byCookie(name: string): RateLimitBuilder;
  byQuery(name: string): RateLimitBuilder;
  /** A claim of the caller's verified token: "tenant.id". */
  byClaim(path: string): RateLimitBuilder;
  /** A field of the request message, where it is known: "order.customer_id". */
  byField(path: string): RateLimitBuilder;
  /** How much of the limit a call takes. */
  cost(cost: number | RateLimitCost): RateLimitBuilder;
  /** A limit of its own for one value of the key. */
  except(value: RateLimitException["value"], requests: number, burst?: number): RateLimitBuilder;
  /** A tighter limit for keys with more than `share` (0..1) of the calls. */
  hot(share: number, requests: number, options?: Omit<HotKeySpec, "share" | "requests">): RateLimitBuilder;
  /** The limit holds for the whole system together: the shared limiter is asked. */
  shared(): RateLimitBuilder;
  /** Who enforces it; default the gateway. */
  at(place: RateLimitPlace): RateLimitBuilder;
  /** Decides, notes and counts, and lets every call pass. */
  shadow(): RateLimitBuilder;
  /** Tells callers what is left of it. */
  tell(fields?: "legacy"): RateLimitBuilder;
  named(name: string): RateLimitBuilder;
  resources(): readonly Resource[];
}

type NamedKey = "header" | "cookie" | "query" | "claim" | "field";

/** Begins a limit of 100 requests a second for a service, a method ("a.B/C"), the system ("*"), or a target in full. */
export function rateLimit(target: TargetInput): RateLimitBuilder {
  return make(null, [targetOf(target)], { requests: 100 });
}

function make(name: string | null, targetRefs: readonly TargetRef[], spec: RateLimitSpec): RateLimitBuilder {
  const change = (changes: Partial<RateLimitSpec>): RateLimitBuilder => make(name, targetRefs, { ...spec, ...changes });
  const by = (key: RateLimitKey): RateLimitBuilder =>
    change({ key: spec.key === undefined ? key : ([spec.key, key].flat() as readonly RateLimitKey[]) });
  return {
    and: (target) => make(name, [...targetRefs, targetOf(target)], spec),
    allow: (requests, per) => change({ requests, ...(per === undefined ? {} : { per: durationText(per) }) }),
    burst: (burst) => change({ burst }),
    sliding: () => change({ algorithm: "sliding-window" }),
    spaced: (maxWait) =>
      change({ algorithm: "gcra", ...(maxWait === undefined ? {} : { maxWait: durationText(maxWait) }) }),
    inFlight: (requests, wait) =>
      change({
        algorithm: "concurrency",
        requests,
        ...(wait === undefined ? {} : { maxQueue: wait.queue, maxWait: durationText(wait.maxWait) }),
      }),
    by: (key: RateLimitKeyKind | RateLimitKey) => by(typeof key === "string" ? { by: key } : key),
    byHeader: (header) => by({ by: "header", header }),
    byCookie: (cookie) => by({ by: "cookie", cookie }),
    byQuery: (query) => by({ by: "query", query }),
    byClaim: (claim) => by({ by: "claim", claim }),
    byField: (field) => by({ by: "field", field }),
    cost: (cost) => change({ cost }),
    except: (value, requests, burst) =>
      change({
        exceptions: [...(spec.exceptions ?? []), { value, requests, ...(burst === undefined ? {} : { burst }) }],
      }),
    hot: (share, requests, options = {}) => change({ hot: { share, requests, ...options } }),
    shared: () => change({ scope: "system" }),
    at: (enforcedBy) => change({ enforcedBy }),
    shadow: () => change({ mode: "shadow" }),
    tell: (fields) => change({ headers: fields ?? true }),
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
