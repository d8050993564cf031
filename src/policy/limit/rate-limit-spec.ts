import type { Duration, TargetRef } from "../resource/resources.ts";

/** How often, or how many at once, calls may pass. Every RateLimit that holds for a call must let it pass. */
export interface RateLimitSpec {
  readonly targetRefs?: readonly TargetRef[];
  /** How many requests pass in `per`; with `concurrency`: how many calls may be in flight at once. */
  readonly requests: number;
  /** Default "1s". Not with `concurrency`. */
  readonly per?: Duration;
  readonly algorithm?: RateLimitAlgorithm;
  /** Buckets only: how many pass at once. Default: `requests` for `token-bucket`, 1 for `gcra`. */
  readonly burst?: number;
  /** `gcra`, `concurrency`: how long a call may wait for its turn rather than be refused. Default: not at all. */
  readonly maxWait?: Duration;
  /** `concurrency`: how many calls of a key may wait, default 0. Needs `maxWait`. */
  readonly maxQueue?: number;
  /** What shares a count; several: every combination of their values has one. Default: all calls that the limit holds for. */
  readonly key?: RateLimitKey | readonly RateLimitKey[];
  /** Keys counted at once, default 10,000. While all are in use, further keys share one. */
  readonly maxKeys?: number;
  /** "process" (default): each process counts for itself. "system": asks the shared limiter, and keeps to its share when that does not answer. */
  readonly scope?: "process" | "system";
  /** Default "gateway". */
  readonly enforcedBy?: RateLimitPlace;
  /** "shadow": decides, notes and counts, and lets every call pass. Default "enforce". */
  readonly mode?: "enforce" | "shadow";
  /** Tells callers what is left: `ratelimit-policy` and `ratelimit`, or the three fields of older drafts. Default: none. */
  readonly headers?: boolean | "legacy";
  /** How much of the limit a call takes. Default 1. */
  readonly cost?: number | RateLimitCost;
  /** Values of the key with a limit of their own in place of `requests`. */
  readonly exceptions?: readonly RateLimitException[];
  /** A tighter limit for keys that make up too much of the calls. */
  readonly hot?: HotKeySpec;
}

/**
 *     token-bucket     `requests` in `per` on average, `burst` at once                            (default)
 *     gcra             the same arithmetic, evenly spaced by default, and calls may wait for their place
 *     sliding-window   never more than `requests` in any `per`
 *     concurrency      never more than `requests` in flight
 */
export type RateLimitAlgorithm = "token-bucket" | "gcra" | "sliding-window" | "concurrency";

/**
 *     gateway   gateways
 *     server    services themselves (inbound), whoever calls
 *     both      gateways; and services, for calls that no gateway has counted already
 *     client    a caller's own quota: typed clients and outbound sidecars
 */
export type RateLimitPlace = "gateway" | "server" | "both" | "client";

/** Calls that lack what the key names share one count. */
export interface RateLimitKey {
  readonly by: RateLimitKeyKind;
  readonly header?: string;
  readonly cookie?: string;
  readonly query?: string;
  /** A claim of the verified token: "sub", "tenant.id". */
  readonly claim?: string;
  /** A field of the request message, where it is known: typed clients, and REST that the gateway turns into gRPC. "order.customer_id". */
  readonly field?: string;
  /** path: which segment, counted from 1; absent: the whole path. */
  readonly segment?: number;
  /** address: how much of it counts. Default 32 bits of an IPv4 and 64 of an IPv6 address: what one host has. */
  readonly ipv4Prefix?: number;
  readonly ipv6Prefix?: number;
}
export type RateLimitKeyKind =
  | "all"
  | "address"
  | "identity"
  | "subject"
  | "claim"
  | "header"
  | "cookie"
  | "query"
  | "path"
  | "field";

export interface RateLimitCost {
  /** What a call takes at least, default 1. */
  readonly fixed?: number;
  /** "shop.v1.Orders/List": 5. */
  readonly methods?: Readonly<Record<string, number>>;
  /** A request field with the cost as a whole number. Callers can only make a call dearer with it. */
  readonly header?: string;
  /** What the header may ask for at most, default 100. */
  readonly max?: number;
}

export interface RateLimitException {
  /** The key's value; of several keys the list of their values. */
  readonly value: string | readonly string[];
  readonly requests: number;
  /** Default: as `burst`'s. */
  readonly burst?: number;
}

export interface HotKeySpec {
  /** 0..1: hot is a key with more than this share of the calls that the limit saw lately. */
  readonly share: number;
  /** What a hot key gets in `per`, in addition to the limit that holds for every key. */
  readonly requests: number;
  readonly burst?: number;
  /** How long calls are remembered (their weight halves in this time), default "10s". */
  readonly window?: Duration;
  /** No key is hot before so many calls were seen, default 100. */
  readonly minCalls?: number;
}
