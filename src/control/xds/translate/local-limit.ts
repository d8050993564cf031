import type { RateLimitKey } from "../../../policy/limit/rate-limit-spec.ts";
import { durationMs } from "../../../policy/resource/duration.ts";
import type { RateLimit } from "../../../policy/resource/resources.ts";
import { compact, type Document, runtimeFraction, typed } from "./document.ts";
import { JWT } from "./jwt-config.ts";

const LOCAL_LIMIT = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

/** The places at which an Envoy of a role enforces a RateLimit. */
export function limitsAt(role: "gateway" | "outbound" | "inbound", { spec }: RateLimit): boolean {
  const by = spec.enforcedBy ?? "gateway";
  if (role === "gateway") return by === "gateway" || by === "both";
  return role === "inbound" ? by === "server" || by === "both" : by === "client";
}

/** "weft.limit.orders" */
export function limitFilterName(limit: RateLimit): string {
  return `weft.limit.${limit.metadata.name}`;
}

/**
 * The filter of one RateLimit, whose buckets all routes share that name it: as there, one count for whatever the limit holds for. Null for what Envoy has no bucket
 * for (the table in policy/check/enforcement.ts says so).
 */
export function localLimit(limit: RateLimit, providers: readonly string[]): Document | null {
  const { spec, metadata } = limit;
  const { algorithm = "token-bucket", requests, per = "1s", mode = "enforce" } = spec;
  if (algorithm === "concurrency" || algorithm === "sliding-window") return null;
  const perMs = durationMs(per);
  const burst = spec.burst ?? (algorithm === "gcra" ? 1 : requests);
  const bucket = tokenBucket(requests, perMs, burst);
  const keys = (
    spec.key === undefined ? [] : Array.isArray(spec.key) ? (spec.key as RateLimitKey[]) : [spec.key as RateLimitKey]
  ).filter(({ by }) => by !== "all");
  const actions = keys.map((key, i) => keyAction(key, `k${i}`, providers));
  if (actions.includes(null)) return null;
  const cost = typeof spec.cost === "number" ? spec.cost : (spec.cost?.fixed ?? 1);
  const entriesOf = (values: readonly string[] | null): Document[] =>
    keys.map(({ by }, i) => {
      const key = by === "address" ? "masked_remote_address" : `k${i}`; // which Envoy names itself
      return values === null ? { key } : { key, value: maskedValue(keys[i], values[i] ?? "") };
    });
  const descriptors = [
    ...(spec.exceptions ?? []).map(({ value, requests: own, burst: ownBurst }) => ({
      entries: entriesOf(typeof value === "string" ? [value] : value),
      token_bucket: tokenBucket(own, perMs, ownBurst ?? (algorithm === "gcra" ? 1 : own)),
    })),
    { entries: entriesOf(null), token_bucket: bucket },
  ];
  return typed(
    LOCAL_LIMIT,
    compact({
      stat_prefix: `weft_limit_${metadata.name.replace(/[^\w]/g, "_")}`,
      // With keys this bucket is for calls without a descriptor alone.
      token_bucket: bucket,
      filter_enabled: runtimeFraction(100),
      filter_enforced: runtimeFraction(mode === "shadow" ? 0 : 100),
      status: { code: "TooManyRequests" },
      rate_limited_as_resource_exhausted: true,
      response_headers_to_add: [
        {
          header: { key: "retry-after", value: String(Math.max(1, Math.ceil(perMs / requests / 1000))) },
          append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
        },
      ],
      enable_x_ratelimit_headers: spec.headers === "legacy" ? "DRAFT_VERSION_03" : undefined,
      ...(keys.length === 0
        ? cost === 1
          ? {}
          : {
              descriptors: [{ entries: [{ key: "all", value: "all" }], token_bucket: bucket }],
              rate_limits: [
                {
                  actions: [{ generic_key: { descriptor_key: "all", descriptor_value: "all" } }],
                  hits_addend: { number: String(cost) },
                },
              ],
              always_consume_default_token_bucket: false,
            }
        : {
            descriptors,
            rate_limits: [compact({ actions, hits_addend: cost === 1 ? undefined : { number: String(cost) } })],
            always_consume_default_token_bucket: false,
            max_dynamic_descriptors: spec.maxKeys ?? 10_000,
          }),
    }),
  );
}

/** type.v3.TokenBucket; intervals shorter than Envoy's shortest are stretched. */
function tokenBucket(requests: number, perMs: number, burst: number): Document {
  const times = Math.max(1, Math.ceil(MIN_FILL_MS / perMs));
  return {
    max_tokens: Math.max(1, Math.ceil(burst)),
    tokens_per_fill: requests * times,
    fill_interval: `${((perMs * times) / 1000).toFixed(3)}s`,
  };
}

const MIN_FILL_MS = 50;

function maskedValue({ by, ipv4Prefix = 32, ipv6Prefix = 64 }: RateLimitKey, value: string): string {
  if (by !== "address" || value.includes("/")) return value;
  return `${value}/${value.includes(":") ? ipv6Prefix : ipv4Prefix}`;
}

function keyAction(key: RateLimitKey, descriptor: string, providers: readonly string[]): Document | null {
  switch (key.by) {
    case "header":
      // Calls without it have no descriptor, and share the bucket of those.
      return { request_headers: { header_name: (key.header ?? "").toLowerCase(), descriptor_key: descriptor } };
    case "address": {
      const { ipv4Prefix = 32, ipv6Prefix = 64 } = key;
      return { masked_remote_address: { v4_prefix_mask_len: ipv4Prefix, v6_prefix_mask_len: ipv6Prefix } };
    }
    case "subject":
    case "claim": {
      if (providers.length !== 1) return null;
      const path = key.by === "subject" ? ["sub"] : (key.claim ?? "").split(".");
      return {
        metadata: {
          descriptor_key: descriptor,
          metadata_key: { key: JWT, path: [providers[0], ...path].map((part) => ({ key: part })) },
          default_value: "-",
        },
      };
    }
    case "identity":
      return {
        generic_key: { descriptor_key: descriptor, descriptor_value: "%DOWNSTREAM_PEER_URI_SAN%", default_value: "-" },
      };
    case "query":
      return { query_parameters: { query_parameter_name: key.query ?? "", descriptor_key: descriptor } };
    default:
      return null;
  }
}
