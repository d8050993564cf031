import { cookieOf, fieldOf } from "../../core/fields.ts";
import { type SubsetSettings, VALUE_END } from "../balance/balancer-settings.ts";
import type { HashKeySpec } from "../balance/balancer-spec.ts";
import { hashText, joinHashes } from "../balance/hash.ts";
import { durationMs } from "../resource/duration.ts";
import type { Attempt } from "./attempt.ts";
import type { CallState } from "./call-state.ts";
import { queryValue, sentBy } from "./request-values.ts";

/**
 * The hash of what a call is balanced by, for ring-hash and maglev: Envoy's hash policies. Keys are joined in their order; one that is terminal ends the list
 * when it gave something. -1 when none gave anything: such calls go anywhere.
 *
 * A cookie with a `ttl` that the caller does not have is made, at a gateway, and set on the answer: the caller comes back to the endpoint chosen now.
 */
export function readBalanceKey(state: CallState, keys: readonly HashKeySpec[], attempt: Attempt): void {
  let hash = -1;
  let source = "";
  for (const key of keys) {
    const value = valueFor(state, key);
    if (value === "") continue;
    const one = hashText(value, 0);
    hash = hash < 0 ? one : joinHashes(hash, one);
    const name = key.name === undefined ? key.by : `${key.by} ${key.name}`;
    source = source === "" ? name : `${source}, ${name}`;
    if (key.terminal) break;
  }
  attempt.hash = hash;
  attempt.hashSource = source;
}

/** The values of the subset that a call wants. */
export function readSubset(state: CallState, { match, wanted }: SubsetSettings): string {
  if (wanted !== null) return wanted;
  return match.map(({ value, header }) => (header === "" ? value : headerValue(state, header))).join(VALUE_END);
}

function valueFor(state: CallState, { by, name = "", ttl, path = "/" }: HashKeySpec): string {
  const { caller } = state;
  switch (by) {
    case "header":
      return headerValue(state, name.toLowerCase());
    case "query":
      return queryValue(sentBy(state), name);
    case "address":
      return caller.peerAddress.slice(0, Math.max(0, caller.peerAddress.lastIndexOf(":")));
    case "identity":
      return caller.peerIdentity;
    case "message":
      return caller.messageField?.(name) ?? "";
    default: {
      const value = cookieOf(sentBy(state).fields, name) ?? "";
      if (value !== "" || ttl === undefined || caller.place !== "gateway") return value;
      return (state.madeCookies ??= new Map()).get(name) ?? makeCookie(state, name, ttl, path);
    }
  }
}

function makeCookie(state: CallState, name: string, ttl: string, path: string): string {
  const { tape, caller } = state;
  const part = (): string =>
    Math.floor(tape.next() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, "0");
  const value = part() + part();
  state.madeCookies?.set(name, value);
  const seconds = Math.max(1, Math.floor(durationMs(ttl) / 1_000));
  const secure = caller.secure ? "; Secure" : "";
  state.addResponseField("set-cookie", `${name}=${value}; Max-Age=${seconds}; Path=${path}; HttpOnly${secure}`);
  return value;
}

function headerValue(state: CallState, name: string): string {
  const { extraFields } = state.caller;
  return fieldOf(sentBy(state).fields, name) || (extraFields && fieldOf(extraFields, name)) || "";
}
