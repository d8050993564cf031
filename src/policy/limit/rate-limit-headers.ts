import type { CallState } from "../machine/call-state.ts";
import type { LimiterState } from "./limiter.ts";

/**
 * Tells the caller what is left of a limit. `fields`: draft-ietf-httpapi-ratelimit-headers-10, structured fields that list every limit:
 *
 *     ratelimit-policy: "orders";q=100;w=1          quota, window in seconds
 *     ratelimit: "orders";r=41;t=1                  remaining, seconds until it is whole again
 *
 * `legacy`: ratelimit-limit, -remaining and -reset of its drafts up to 07, which can speak of one limit only: the one with the least left.
 */
export function tellLimit(
  call: CallState,
  limiter: LimiterState,
  requests: number,
  left: number,
  resetMs: number,
): void {
  const seconds = Math.max(0, Math.ceil(resetMs / 1000));
  if (limiter.headers === "fields") {
    const window = Math.max(1, Math.round(limiter.perMs / 1000));
    call.addResponseField("ratelimit-policy", `"${limiter.name}";q=${requests};w=${window}`);
    call.addResponseField("ratelimit", `"${limiter.name}";r=${left};t=${seconds}`);
    return;
  }
  const said = call.responseAdd;
  const at = said === null ? -1 : said.indexOf("ratelimit-remaining");
  if (said !== null && at >= 0) {
    if (Number(said[at + 1]) <= left) return;
    said.splice(at - 2, 6);
  }
  call.addResponseField("ratelimit-limit", String(requests));
  call.addResponseField("ratelimit-remaining", String(left));
  call.addResponseField("ratelimit-reset", String(seconds));
}
