import type { Redis, RedisOptions } from "iovalkey";
import { WeftError } from "../../core/errors.ts";
import {
  type SharedLimitAnswer,
  type SharedLimitRequest,
  type SharedLimits,
  sharedLimitId,
} from "../../policy/limit/shared-limit.ts";

export interface RedisLimitsOptions {
  /** "redis://127.0.0.1:6379/0", "rediss://user:password@host" */
  url: string;
  /** What keys begin with, default "weft:limit:". Systems that share a server need one each. */
  prefix?: string;
  /** How long an answer may take, ms, default 40: the call that asks waits no longer than 50 anyway. */
  timeoutMs?: number;
  /** Told when the server is lost, and when it is back (null). Default: nobody. */
  onChange?: (lost: WeftError | null) => void;
}

/** Shared limits that hold a connection. */
export interface ConnectedLimits extends SharedLimits {
  close(): Promise<void>;
}

/**
 * Limits of a whole system in Redis or Valkey: one script a call, so that counting and deciding are one step, by the server's clock, so that those of the
 * processes do not matter. A key lives no longer than what it says holds. Without a connection every answer is null at once, and each process keeps
 * to its share.
 *
 * Needs the package `iovalkey`. Rejects `failed_precondition` when it is not installed, `invalid_argument` for a url that is none. Does not wait for the server.
 */
export async function connectRedisLimits(options: RedisLimitsOptions): Promise<ConnectedLimits> {
  const address = addressOf(options.url);
  const { Redis } = await import("iovalkey").catch((cause) => {
    throw new WeftError("failed_precondition", "shared limits in Redis need a package: npm install iovalkey", {
      reason: "PACKAGE_MISSING",
      cause,
    });
  });
  const { timeoutMs = 40 } = options;
  return new RedisLimits(
    new Redis({
      ...address,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: timeoutMs,
      connectTimeout: CONNECT_MS,
      retryStrategy: (times) => Math.min(times * 100, MAX_BACK_OFF_MS),
      enableAutoPipelining: true,
    }),
    options,
  );
}

class RedisLimits implements ConnectedLimits {
  readonly #redis: Redis & Scripts;
  readonly #prefix: string;

  constructor(redis: Redis, { prefix = "weft:limit:", onChange = () => {} }: RedisLimitsOptions) {
    redis.defineCommand("weftTakeToken", { numberOfKeys: 1, lua: TAKE_TOKEN });
    redis.defineCommand("weftTakeWindow", { numberOfKeys: 1, lua: TAKE_WINDOW });
    this.#redis = redis as Redis & Scripts;
    this.#prefix = prefix;
    let lost = false;
    redis.on("error", (cause: Error) => {
      if (lost) return;
      lost = true;
      const message = `the store of shared limits is lost, each process keeps to its share: ${cause.message}`;
      onChange(new WeftError("unavailable", message, { reason: "SHARED_LIMITS_LOST", cause }));
    });
    redis.on("ready", () => {
      if (lost) onChange(null);
      lost = false;
    });
  }

  take(request: SharedLimitRequest, answer: (answer: SharedLimitAnswer | null) => void): void {
    if (this.#redis.status !== "ready") {
      answer(null);
      return;
    }
    const { algorithm, requests, perMs, burst, cost } = request;
    const key = this.#prefix + sharedLimitId(request);
    const taken =
      algorithm === "sliding-window"
        ? this.#redis.weftTakeWindow(key, requests, perMs, cost)
        : this.#redis.weftTakeToken(key, perMs / requests, burst, cost);
    taken.then(
      ([allowed, waitMs, left]) => answer({ allowed: allowed === 1, waitMs: Number(waitMs), left }),
      () => answer(null),
    );
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }
}

type Taken = [allowed: 0 | 1, waitMs: string, left: number];

interface Scripts {
  weftTakeToken(key: string, tokenMs: number, burst: number, cost: number): Promise<Taken>;
  weftTakeWindow(key: string, requests: number, perMs: number, cost: number): Promise<Taken>;
}

function addressOf(url: string): RedisOptions {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    parsed = new URL("none:");
  }
  const { protocol, hostname, port, username, password, pathname } = parsed;
  const db = pathname === "" || pathname === "/" ? 0 : Number(pathname.slice(1));
  if ((protocol !== "redis:" && protocol !== "rediss:") || hostname === "" || !Number.isInteger(db)) {
    // The url may hold a password: it is not repeated.
    throw new WeftError(
      "invalid_argument",
      'a Redis url looks like "redis://127.0.0.1:6379/0"; rediss:// is over TLS',
      {
        reason: "BAD_ADDRESS",
      },
    );
  }
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? 6379 : Number(port),
    db,
    ...(username === "" ? {} : { username: decodeURIComponent(username) }),
    ...(password === "" ? {} : { password: decodeURIComponent(password) }),
    ...(protocol === "rediss:" ? { tls: {} } : {}),
  };
}

/** As policy/limit/token-bucket.ts: the key holds the time at which the bucket would be full again, ms. */
const TAKE_TOKEN = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local token, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local depth = token * burst
local before = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local after = before + cost * token
local excess = after - now - math.max(depth, cost * token)
if excess > 0.000001 then
  return { 0, tostring(excess), math.max(0, math.floor((depth - (before - now)) / token + 0.000001)) }
end
redis.call('SET', KEYS[1], string.format('%.6f', after), 'PX', math.ceil(after - now) + 1)
return { 1, '0', math.max(0, math.floor((depth - (after - now)) / token + 0.000001)) }
`;

/** As policy/limit/sliding-window.ts: 33 buckets of a 32nd of the window, the oldest counted whole, so that no window ever holds more. */
const TAKE_WINDOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local limit, per, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), math.min(tonumber(ARGV[3]), tonumber(ARGV[1]))
local width = per / 32
local newest = math.floor(now / width)
local held = redis.call('HGETALL', KEYS[1])
local total, counts, oldest = 0, {}, newest
for i = 1, #held, 2 do
  local bucket, count = tonumber(held[i]), tonumber(held[i + 1])
  if bucket < newest - 32 then
    redis.call('HDEL', KEYS[1], held[i])
  else
    total = total + count
    counts[bucket] = count
    oldest = math.min(oldest, bucket)
  end
end
local over = total + cost - limit
if over > 0 then
  local bucket = oldest
  while bucket < newest do
    over = over - (counts[bucket] or 0)
    if over <= 0 then break end
    bucket = bucket + 1
  end
  return { 0, tostring((bucket + 33) * width - now), math.max(0, limit - total) }
end
redis.call('HINCRBYFLOAT', KEYS[1], string.format('%.0f', newest), cost)
redis.call('PEXPIRE', KEYS[1], math.ceil(per + width) + 1)
return { 1, '0', limit - total - cost }
`;

const CONNECT_MS = 2_000;
const MAX_BACK_OFF_MS = 2_000;
