import { fieldOf } from "../../core/fields.ts";
import type { CallState } from "../machine/call-state.ts";
import type { Plan } from "../snapshot/snapshot.ts";
import type { CacheSettings } from "./cache-field.ts";
import { variantValue } from "./variant-value.ts";

/** The URI that a request is about, as the policy sees it: "https://shop.example/products?page=2". */
export function uriOf({ request, context }: CallState, { ignoreQuery }: CacheSettings): string {
  const { scheme, authority, path } = context?.asSent ?? request;
  return `${scheme}://${authority.toLowerCase()}${ignoreQuery === null ? path : withoutIgnored(path, ignoreQuery)}`;
}

function withoutIgnored(path: string, ignored: true | ReadonlySet<string>): string {
  const mark = path.indexOf("?");
  if (mark < 0) return path;
  if (ignored === true) return path.slice(0, mark);
  const kept = path
    .slice(mark + 1)
    .split("&")
    .filter((pair) => !ignored.has(pair.split("=", 1)[0]));
  return kept.length === 0 ? path.slice(0, mark) : `${path.slice(0, mark)}?${kept.join("&")}`;
}

/**
 * What tells answers for one URI apart, beside Vary: rules that take it to different services, the backend where policies differ, where the service is told
 * that the request came from when that is not what its URI says (services make links and redirects of it), the policy's key fields.
 */
export function scopeOf(call: CallState, backend: string, { keyHeaders }: CacheSettings): string {
  const { rule } = call.plan as Plan;
  const { scheme, authority, fields } = call.caller.asSent ?? call.request;
  let scope = `${rule.text} ${backend}`;
  const proto = fieldOf(fields, "x-forwarded-proto") ?? scheme;
  const host = fieldOf(fields, "x-forwarded-host") ?? authority;
  if (proto !== scheme) scope += `\n${proto}:`;
  if (host !== authority) scope += `\n//${host.toLowerCase()}`;
  for (const name of keyHeaders) scope += `\n${variantValue(call, name)}`;
  return scope;
}

/** URIs of the same origin that an answer to an unsafe request names (RFC 9111 section 4.4). */
export function namedUris(uri: string, fields: readonly string[]): string[] {
  const named: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "location" && fields[i] !== "content-location") continue;
    const other = URL.parse(fields[i + 1], uri);
    const own = URL.parse(uri);
    if (other !== null && own !== null && other.origin === own.origin)
      named.push(uri.slice(0, uri.indexOf("/", 8)) + other.pathname + other.search);
  }
  return named;
}
