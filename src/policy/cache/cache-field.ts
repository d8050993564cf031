import { FIELD_NAME, POSITIVE, SWITCHABLE } from "../resource/common-shapes.ts";
import { durationMs } from "../resource/duration.ts";
import { compileMatches, type HeaderMatch, headerMatches } from "../resource/header-match.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import type { Duration } from "../resource/resources.ts";
import { bool, described, list, number, object, oneOf, text } from "../resource/shape.ts";

/** Keeps responses at the gateway as RFC 9111 lets a shared cache. Plain HTTP, and REST that the gateway turns into gRPC; not gRPC itself. */
export interface CacheSpec {
  /** False: no cache, whatever a less specific policy says. Default true. */
  readonly enabled?: boolean;
  /** Of all responses that this policy keeps, in this process. Default 67,108,864 (64 MiB). */
  readonly maxBytes?: number;
  /** Of one response. Default 1,048,576 (1 MiB). */
  readonly maxEntryBytes?: number;
  /** How long a response is fresh that does not say, when its status is cacheable by default. Default: a tenth of its age by Last-Modified, otherwise 0. */
  readonly defaultTtl?: Duration;
  /** "GET" and "HEAD", or "GET" alone. Default both. */
  readonly methods?: readonly string[];
  /** Query parameters that make no difference to the answer ("utm_source"), or true for all. Default none. */
  readonly ignoreQuery?: boolean | readonly string[];
  /** Request fields whose values tell answers apart though the service does not say Vary. */
  readonly keyHeaders?: readonly string[];
  /** Requests with one of these fields pass by the cache. */
  readonly bypass?: readonly HeaderMatch[];
  /** Beyond what responses allow: how long a stale one is used while it is fetched anew, and when the service fails. Default "0s". */
  readonly staleWhileRevalidate?: Duration;
  readonly staleIfError?: Duration;
  /** False: callers' Cache-Control is ignored, so that they cannot make the service work. Default true. */
  readonly obeyCallers?: boolean;
  /** How long calls wait for the answer that another one fetches already; "0s": they do not. Default "5s". */
  readonly collapse?: Duration;
}

export interface CacheSettings {
  readonly maxBytes: number;
  readonly maxEntryBytes: number;
  /** Ms; 0 for none. */
  readonly defaultTtlMs: number;
  readonly methods: readonly string[];
  readonly ignoreQuery: true | ReadonlySet<string> | null;
  readonly keyHeaders: readonly string[];
  readonly bypass: readonly HeaderMatch[];
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly obeyCallers: boolean;
  readonly collapseMs: number;
}

const parameters = list(text("the name of a query parameter", /^[^=&#\s]+$/, 256), 1, 64);
const ignoreQuery = described(
  (value, path, report) => {
    if (typeof value !== "boolean") parameters(value, path, report);
  },
  () => ({ anyOf: [{ type: "boolean" }, parameters.schema ?? {}] }),
);

export const cacheField: PolicyField<CacheSpec, CacheSettings | null> = {
  check: object(
    {
      enabled: bool,
      maxBytes: number(65_536, 1_099_511_627_776, true),
      maxEntryBytes: number(1_024, 2_147_483_647, true),
      defaultTtl: POSITIVE,
      methods: list(oneOf(["GET", "HEAD"]), 1, 2),
      ignoreQuery,
      keyHeaders: list(FIELD_NAME, 0, 16),
      bypass: headerMatches,
      staleWhileRevalidate: SWITCHABLE,
      staleIfError: SWITCHABLE,
      obeyCallers: bool,
      collapse: SWITCHABLE,
    },
    [],
    (value, path, report) => {
      const { maxBytes = MAX_BYTES, maxEntryBytes = 0, methods } = value as CacheSpec;
      if (maxEntryBytes > maxBytes) report([...path, "maxEntryBytes"], "must not be more than maxBytes");
      if (methods !== undefined && !methods.includes("GET"))
        report([...path, "methods"], "must have GET: HEAD is answered by what GET brought");
    },
  ),
  over: (under, spec) => ({ ...under, ...defined(spec) }),
  compile(spec) {
    if (spec === null || spec.enabled === false) return null;
    const { ignoreQuery } = spec;
    return {
      maxBytes: spec.maxBytes ?? MAX_BYTES,
      maxEntryBytes: Math.min(spec.maxEntryBytes ?? MAX_ENTRY_BYTES, spec.maxBytes ?? MAX_BYTES),
      defaultTtlMs: durationMs(spec.defaultTtl ?? "0s"),
      methods: spec.methods ?? ["GET", "HEAD"],
      ignoreQuery: typeof ignoreQuery === "object" ? new Set(ignoreQuery) : ignoreQuery === true ? true : null,
      keyHeaders: (spec.keyHeaders ?? []).map((name) => name.toLowerCase()).sort(),
      bypass: compileMatches(spec.bypass),
      staleWhileRevalidateMs: durationMs(spec.staleWhileRevalidate ?? "0s"),
      staleIfErrorMs: durationMs(spec.staleIfError ?? "0s"),
      obeyCallers: spec.obeyCallers ?? true,
      collapseMs: durationMs(spec.collapse ?? "5s"),
    };
  },
};

const MAX_BYTES = 67_108_864;
const MAX_ENTRY_BYTES = 1_048_576;
