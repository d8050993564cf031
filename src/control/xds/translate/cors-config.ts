import type { CORSFilter } from "../../../policy/resource/resources.ts";
import { compact, type Document, quoted, typed } from "./document.ts";

export const CORS = "envoy.filters.http.cors";

/** extensions.filters.http.cors.v3.CorsPolicy */
export function corsPolicy(filter: CORSFilter): Document {
  const {
    allowOrigins = [],
    allowCredentials = false,
    allowMethods = [],
    allowHeaders = [],
    exposeHeaders = [],
  } = filter;
  const list = (values: readonly string[]): string | undefined => (values.length === 0 ? undefined : values.join(", "));
  return typed(
    "envoy.extensions.filters.http.cors.v3.CorsPolicy",
    compact({
      allow_origin_string_match: allowOrigins.map(originMatch),
      allow_methods: list(allowMethods),
      allow_headers: list(allowHeaders),
      expose_headers: list(exposeHeaders),
      max_age: String(filter.maxAge ?? 5),
      allow_credentials: allowCredentials,
      forward_not_matching_preflights: false,
    }),
  );
}

/** Envoy says every origin back in place of "*", and nothing of caches: what they may keep for one page must not be given to another. */
export function withVary(fields: Document): Document {
  const added = (fields.response_headers_to_add ?? []) as readonly Document[];
  return { ...fields, response_headers_to_add: [...added, VARY] };
}

const VARY: Document = { header: { key: "vary", value: "origin" }, append_action: "APPEND_IF_EXISTS_OR_ADD" };

function originMatch(origin: string): Document {
  if (origin === "*") return { safe_regex: { regex: ".*" } };
  if (!origin.includes("*")) return { exact: origin, ignore_case: true };
  return { safe_regex: { regex: `(?i)${origin.split("*").map(quoted).join("[a-z0-9.-]+")}` } };
}
