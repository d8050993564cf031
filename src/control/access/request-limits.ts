import { createHash } from "node:crypto";
import { codecOf } from "../../contract/codec.ts";
import { RETRY_INFO } from "../../contract/error-details.ts";
import { RetryInfoSchema } from "../../contract/gen/google/rpc/error_details.ts";
import type { Clock } from "../../core/clock.ts";
import { type ErrorDetail, WeftError } from "../../core/errors.ts";
import { networkOf } from "../../core/network-of.ts";
import type { ServerInterceptor } from "../../service/interceptor.ts";
import type { ServerCall } from "../../service/server-call.ts";
import type { ControlLimits } from "../limits.ts";
import { isPeer } from "../peers/peers.ts";
import { isAccessRole, roleOfMethod } from "./method-roles.ts";

/**
 * Nobody keeps the others from being answered: of one address, and by one token, so many requests a second are answered, and so many processes attach; more are refused with `resource_exhausted` and told when to
 * come again (retry-after). Both may come in bursts of twice as many. Other control planes are not counted.
 */
export function requestLimits(
  limits: Pick<ControlLimits, "adminRequestsPerSecond" | "attachesPerSecond">,
  system: string,
  clock: Clock,
): ServerInterceptor {
  const admin = new Buckets(limits.adminRequestsPerSecond, clock);
  const attach = new Buckets(limits.attachesPerSecond, clock);
  return (next) => (request) => {
    const { method, call } = request;
    const role = roleOfMethod(method);
    const attaches = method.name === "Attach";
    // What shows a token or a certificate that is to be looked at costs more than to refuse it.
    const counted = isAccessRole(role) || method.parent.typeName === "weft.control.v1.Identity";
    if ((!counted && !attaches) || isPeer(call, system)) return next(request);
    const buckets = attaches ? attach : admin;
    const waitMs = Math.max(...keysOf(call).map((key) => buckets.take(key)));
    if (waitMs === 0) return next(request);
    const what = attaches
      ? `${limits.attachesPerSecond} processes attach`
      : `${limits.adminRequestsPerSecond} requests are answered`;
    throw new WeftError(
      "resource_exhausted",
      `at most ${what} a second for one address or token; come again in ${Math.ceil(waitMs)} ms`,
      { reason: attaches ? "TOO_MANY_ATTACHES" : "TOO_MANY_REQUESTS", retryable: true, details: [comeAgainIn(waitMs)] },
    );
  };
}

/** google.rpc.RetryInfo, which is also retry-after of REST. */
function comeAgainIn(waitMs: number): ErrorDetail {
  const ms = Math.ceil(waitMs);
  const retryDelay = { seconds: BigInt(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1_000_000 };
  return { type: RETRY_INFO, value: retryInfos.encode({ retryDelay }) };
}

const retryInfos = codecOf(RetryInfoSchema);

/** Who asks: the address without its port, and the token. */
function keysOf({ peer, requestHeaders }: ServerCall): string[] {
  const host = networkOf(peer.address);
  const shown = requestHeaders.get("authorization");
  if (shown === undefined) return [host];
  return [host, createHash("sha256").update(shown).digest("base64")];
}

/** Token buckets by key, of which those that are full again are forgotten. */
class Buckets {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #clock: Clock;
  readonly #levels = new Map<string, { level: number; atMs: number }>();

  constructor(perSecond: number, clock: Clock) {
    this.#perMs = perSecond / 1_000;
    this.#burst = Math.max(1, 2 * perSecond);
    this.#clock = clock;
  }

  /** 0: it may; otherwise when it may, ms. */
  take(key: string): number {
    const now = this.#clock.now();
    let bucket = this.#levels.get(key);
    if (bucket === undefined) {
      if (this.#levels.size >= MAX_KEYS) this.#forgetFull(now);
      this.#levels.set(key, (bucket = { level: this.#burst, atMs: now }));
    }
    bucket.level = Math.min(this.#burst, bucket.level + (now - bucket.atMs) * this.#perMs);
    bucket.atMs = now;
    if (bucket.level < 1) return (1 - bucket.level) / this.#perMs;
    bucket.level--;
    return 0;
  }

  #forgetFull(now: number): void {
    for (const [key, { level, atMs }] of this.#levels)
      if (level + (now - atMs) * this.#perMs >= this.#burst) this.#levels.delete(key);
    // All of them ask at this moment: the oldest begins anew.
    const [oldest] = this.#levels.keys();
    if (this.#levels.size >= MAX_KEYS && oldest !== undefined) this.#levels.delete(oldest);
  }
}

const MAX_KEYS = 10_000;
