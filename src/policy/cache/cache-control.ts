/** Cache-Control, of requests and responses (RFC 9111 section 5.2; RFC 5861 for the stale-* extensions). */
export interface CacheDirectives {
  readonly noStore: boolean;
  /** Without field names. */
  readonly noCache: boolean;
  readonly isPrivate: boolean;
  readonly isPublic: boolean;
  readonly mustRevalidate: boolean;
  readonly proxyRevalidate: boolean;
  readonly mustUnderstand: boolean;
  readonly onlyIfCached: boolean;
  /** Seconds; -1 when absent. A value that is no number of seconds is 0: invalid freshness is none (section 4.2.1). */
  readonly maxAge: number;
  readonly sMaxAge: number;
  readonly minFresh: number;
  /** Infinity when it is there without a value. */
  readonly maxStale: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  /** Fields named by no-cache="..." and private="...", which may not be stored. */
  readonly fieldsOut: readonly string[];
  /** They come from CDN-Cache-Control. */
  readonly targeted: boolean;
}

/**
 * Of several directives of a name the first counts (section 4.2.1); names are compared without case, and what is quoted is no directive. Several lines count
 * as one list.
 */
export function parseCacheControl(fields: readonly string[], field = "cache-control"): CacheDirectives {
  let text = "";
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === field) text = text === "" ? fields[i + 1] : `${text},${fields[i + 1]}`;
  }
  if (text === "") return NO_DIRECTIVES;
  const found = new Map<string, string | null>();
  for (const [, name, quoted, token] of text.slice(0, MAX_LENGTH).matchAll(DIRECTIVE)) {
    const key = name.toLowerCase();
    if (!found.has(key))
      found.set(key, quoted === undefined ? (token?.trim() ?? null) : quoted.replace(/\\(.)/g, "$1"));
  }
  const noCache = found.get("no-cache");
  const isPrivate = found.get("private");
  const out: string[] = [];
  for (const names of [noCache, isPrivate]) {
    for (const name of names?.split(",") ?? []) if (name.trim() !== "") out.push(name.trim().toLowerCase());
  }
  return {
    noStore: found.has("no-store"),
    noCache: noCache === null || noCache === "",
    isPrivate: isPrivate === null || isPrivate === "",
    isPublic: found.has("public"),
    mustRevalidate: found.has("must-revalidate"),
    proxyRevalidate: found.has("proxy-revalidate"),
    mustUnderstand: found.has("must-understand"),
    onlyIfCached: found.has("only-if-cached"),
    maxAge: seconds(found.get("max-age")),
    sMaxAge: seconds(found.get("s-maxage")),
    minFresh: seconds(found.get("min-fresh")),
    maxStale: found.get("max-stale") === null ? Number.POSITIVE_INFINITY : seconds(found.get("max-stale")),
    staleWhileRevalidate: seconds(found.get("stale-while-revalidate")),
    staleIfError: seconds(found.get("stale-if-error")),
    fieldsOut: out,
    targeted: false,
  };
}

/** Of a response. CDN-Cache-Control is meant for caches like this one: where it is, Cache-Control and Expires say nothing to them (RFC 9213 section 2.2). */
export function responseDirectives(fields: readonly string[]): CacheDirectives {
  const targeted = parseCacheControl(fields, "cdn-cache-control");
  return targeted === NO_DIRECTIVES ? parseCacheControl(fields) : { ...targeted, targeted: true };
}

function seconds(value: string | null | undefined): number {
  if (value === undefined) return -1;
  return value !== null && /^\d+$/.test(value) ? Math.min(Number(value), MAX_SECONDS) : 0;
}

/** What is to be sent when a number of seconds is larger (section 1.2.2). */
export const MAX_SECONDS = 2_147_483_648;
/** name, name=token, name="quoted"; anything else between commas is skipped. */
const DIRECTIVE =
  /(?:^|,)[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:=(?:"((?:[^"\\]|\\.)*)"[ \t]*|([^",]*))|[ \t]*)(?=,|$)/g;
const MAX_LENGTH = 4_096;

export const NO_DIRECTIVES: CacheDirectives = {
  noStore: false,
  noCache: false,
  isPrivate: false,
  isPublic: false,
  mustRevalidate: false,
  proxyRevalidate: false,
  mustUnderstand: false,
  onlyIfCached: false,
  maxAge: -1,
  sMaxAge: -1,
  minFresh: -1,
  maxStale: -1,
  staleWhileRevalidate: -1,
  staleIfError: -1,
  fieldsOut: [],
  targeted: false,
};
