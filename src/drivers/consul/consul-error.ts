import { WeftError } from "../../core/errors.ts";

/** The line ended before an answer came. `retryable`: before anything was sent. */
export function lineBroken(name: string, why: string, retryable = false): WeftError {
  return new WeftError("unavailable", `${name} does not answer (${why})`, { reason: "CONSUL_AWAY", retryable });
}

/** What Consul refuses for its ACLs: says which right is missing, and nothing of the token. `text` is Consul's, of which only names of rights are repeated. */
export function denied(name: string, text: string, hasToken: boolean): WeftError {
  const lacks = /lacks permission '([a-z:]{1,64})'(?: on "([\x20-\x7e]{0,300}?)")?/.exec(text);
  const right = lacks === null ? "" : lacks[2] === undefined ? lacks[1] : `${lacks[1]} on "${lacks[2]}"`;
  if (!hasToken) {
    const what = right === "" ? "" : ` (what was asked needs ${right})`;
    const message = `${name} wants an ACL token${what}; put one in the url: consul://TOKEN@HOST:8500`;
    return new WeftError("unauthenticated", message, { reason: "CONSUL_TOKEN_MISSING" });
  }
  if (lacks === null && !/permission denied/i.test(text)) {
    const message = `${name} does not know the ACL token of the url; it may have been deleted, have expired, or be of another datacenter`;
    return new WeftError("unauthenticated", message, { reason: "CONSUL_TOKEN_UNKNOWN" });
  }
  const message = `${name} refuses what its ACL token may not do${right === "" ? "" : `: it lacks ${right}`}; docs/consul.md has a policy that suffices`;
  return new WeftError("permission_denied", message, { reason: "CONSUL_PERMISSION_DENIED" });
}

/** An answer that is no success, as an error: `text` is its body. */
export function failed(name: string, status: number, text: string): WeftError {
  if (/ACL not found/i.test(text)) return denied(name, text, true);
  // Without a leader nothing was written; so it is with what is above a limit of requests.
  const retryable = status === 429 || /No cluster leader|Raft leader not found/i.test(text);
  if (status >= 500 || status === 429) {
    const why = /No cluster leader|Raft leader not found/i.test(text) ? "it has no leader now" : `status ${status}`;
    return new WeftError("unavailable", `${name} cannot serve (${why})`, { reason: "CONSUL_FAILS", retryable });
  }
  const shown = text.replace(/[^\x20-\x7e]+/g, " ").slice(0, 200);
  return new WeftError("failed_precondition", `${name} refuses (status ${status}): ${shown}`, {
    reason: "CONSUL_REFUSES",
  });
}
