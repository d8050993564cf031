import type { HashKeySpec } from "../../../policy/balance/balancer-spec.ts";
import { durationMs } from "../../../policy/resource/duration.ts";
import type { PathModifier, RequestRedirect } from "../../../policy/resource/resources.ts";
import type { BackendChanges, Rule } from "../../../policy/route/rule.ts";
import { compact, type Document, literal, quoted, seconds } from "./document.ts";

/* What a rule of a route itself asks for, in the words of config.route.v3. */

/** Fields of a Route (or a ClusterWeight): what is removed goes first, there as here. */
export function headerFields({ requestAdd, requestRemove, responseAdd, responseRemove }: BackendChanges): Document {
  const added = (flat: readonly string[] | null): Document[] | undefined => {
    if (flat === null || flat.length === 0) return undefined;
    const list: Document[] = [];
    for (let i = 0; i < flat.length; i += 2) {
      list.push({
        header: { key: flat[i], value: literal(flat[i + 1]) },
        append_action: "APPEND_IF_EXISTS_OR_ADD",
        keep_empty_value: true,
      });
    }
    return list;
  };
  return compact({
    request_headers_to_add: added(requestAdd),
    request_headers_to_remove: requestRemove?.length ? requestRemove : undefined,
    response_headers_to_add: added(responseAdd),
    response_headers_to_remove: responseRemove?.length ? responseRemove : undefined,
  });
}

/** Fields of a RouteAction. `prefix` is what the match took. */
export function rewriteFields({ rewriteHost, rewritePath }: Rule, prefix: string): Document {
  return compact({
    host_rewrite_literal: rewriteHost === "" ? undefined : rewriteHost,
    regex_rewrite: rewritePath === null ? undefined : pathRewrite(rewritePath, prefix),
  });
}

/** A type.matcher.v3.RegexMatchAndSubstitute over the path without its query. */
function pathRewrite(modifier: PathModifier, prefix: string): Document {
  const substitution = (text: string): string => text.replaceAll("\\", "\\\\");
  if (modifier.type === "ReplaceFullPath") {
    return { pattern: { regex: "^.*$" }, substitution: substitution(modifier.replaceFullPath || "/") };
  }
  const replacement = (modifier.replacePrefixMatch ?? "/").replace(/\/+$/, "");
  if (replacement === "") return { pattern: { regex: `^${quoted(prefix)}/*(.*)$` }, substitution: "/\\1" };
  // Below "/" every path goes on with a slash; "/" itself, too.
  return { pattern: { regex: `^${quoted(prefix)}(.*)$` }, substitution: `${substitution(replacement)}\\1` };
}

export function redirectAction(
  { scheme, hostname, port, path, statusCode = 302 }: RequestRedirect,
  prefix: string,
): Document {
  return compact({
    scheme_redirect: scheme,
    host_redirect: hostname,
    port_redirect: port,
    response_code: REDIRECTS[statusCode],
    ...(path === undefined
      ? {}
      : path.type === "ReplaceFullPath" && (path.replaceFullPath || "/")
        ? { path_redirect: path.replaceFullPath || "/" }
        : { regex_rewrite: pathRewrite(path, prefix) }),
  });
}

const REDIRECTS = {
  301: "MOVED_PERMANENTLY",
  302: "FOUND",
  303: "SEE_OTHER",
  307: "TEMPORARY_REDIRECT",
  308: "PERMANENT_REDIRECT",
} as const;

/** RouteAction.hash_policy: what a call's place on a ring is made of. */
export function hashPolicies(keys: readonly HashKeySpec[]): Document[] {
  return keys.flatMap((key): Document[] => {
    const policy = hashPolicy(key);
    return policy === null ? [] : [compact({ ...policy, terminal: key.terminal === true ? true : undefined })];
  });
}

function hashPolicy({ by, name = "", ttl, path }: HashKeySpec): Document | null {
  switch (by) {
    case "header":
      return { header: { header_name: name } };
    case "cookie":
      return {
        cookie: compact({
          name,
          ttl: ttl === undefined ? undefined : seconds(durationMs(ttl)),
          path: ttl === undefined ? undefined : (path ?? "/"),
        }),
      };
    case "query":
      return { query_parameter: { name } };
    case "address":
      return { connection_properties: { source_ip: true } };
    default:
      return null;
  }
}
