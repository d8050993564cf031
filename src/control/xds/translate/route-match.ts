import { compact, type Document, quoted } from "./document.ts";
import type { Entry } from "./mesh-model.ts";

/** What stands in for the path of a match: one method of a service, or all of a contract's. */
export type PathOf = { readonly path: string } | { readonly prefix: string } | null;

/** config.route.v3.RouteMatch of an entry; `only` narrows its path, `verbs` its method. */
export function routeMatch(
  entry: Entry,
  only: PathOf = null,
  verbs: readonly string[] = [],
  grpc = entry.grpc,
): Document {
  const headers: Document[] = [];
  if (entry.method !== "") headers.push({ name: ":method", string_match: { exact: entry.method } });
  else if (verbs.length > 0) {
    headers.push({ name: ":method", string_match: { safe_regex: { regex: verbs.join("|") } } });
  }
  const { headers: fields, query, patterns } = entry;
  for (let i = 0; i < fields.length; i += 2) {
    headers.push({ name: fields[i], string_match: { exact: fields[i + 1] } });
  }
  const parameters: Document[] = [];
  for (let i = 0; i < query.length; i += 2) {
    parameters.push({ name: query[i], string_match: { exact: query[i + 1] } });
  }
  for (const { in: where, name, pattern } of patterns) {
    (where === "header" ? headers : parameters).push({ name, string_match: { safe_regex: { regex: pattern.source } } });
  }
  return compact({
    ...(only ?? pathMatch(entry)),
    headers: headers.length === 0 ? undefined : headers,
    query_parameters: parameters.length === 0 ? undefined : parameters,
    grpc: grpc ? {} : undefined,
  });
}

/** What a browser asks before it sends what a match with a method and a CORS filter is for. */
export function preflightMatch(entry: Entry): Document {
  return {
    ...pathMatch(entry),
    headers: [
      { name: ":method", string_match: { exact: "OPTIONS" } },
      { name: "access-control-request-method", string_match: { exact: entry.method } },
    ],
  };
}

function pathMatch({ path }: Entry): Document {
  const { kind, value } = path;
  switch (kind) {
    case "exact":
      return { path: value };
    case "pattern":
      return { safe_regex: { regex: value } };
    case "method":
      return { safe_regex: { regex: `/[^/]+/${quoted(value)}` } };
    default: {
      const prefix = value.replace(/\/+$/, "");
      return prefix === "" ? { prefix: "/" } : { path_separated_prefix: prefix };
    }
  }
}

/** The same in the words that gRPC clients read (gRFC A28); null for what a gRPC call can never be. */
export function grpcRouteMatch(entry: Entry, only: PathOf = null): Document | null {
  if (entry.query.length > 0 || entry.patterns.some(({ in: where }) => where === "query")) return null;
  if (entry.method !== "" && entry.method !== "POST") return null;
  const headers: Document[] = [];
  for (let i = 0; i < entry.headers.length; i += 2) {
    headers.push({ name: entry.headers[i], exact_match: entry.headers[i + 1] });
  }
  for (const { name, pattern } of entry.patterns) headers.push({ name, safe_regex_match: { regex: pattern.source } });
  const match = (only ?? pathMatch(entry)) as Record<string, unknown>;
  const { path_separated_prefix: below, ...rest } = match;
  return compact({
    ...(below === undefined ? rest : { prefix: `${below as string}/` }),
    headers: headers.length === 0 ? undefined : headers,
  });
}
