import type {
  GRPCRoute,
  GRPCRouteMatch,
  HTTPRoute,
  HTTPRouteMatch,
  Resource,
  ValueMatch,
} from "../resource/resources.ts";
import { compilePattern } from "./pattern.ts";
import type { ValuePattern } from "./route-conditions.ts";
import type { PathCondition, RouteEntry } from "./route-table.ts";
import { makeRule, type RuleMatch } from "./rule.ts";

type Entry = RouteEntry<RuleMatch>;

/** Table entries of a route; `order` numbers them all. */
export function routeEntries(route: HTTPRoute | GRPCRoute, order: number): Entry[] {
  return route.kind === "HTTPRoute" ? httpEntries(route, order) : grpcEntries(route, order);
}

function httpEntries({ kind, metadata, spec }: HTTPRoute, order: number): Entry[] {
  const hostnames = spec.hostnames ?? NONE;
  return spec.rules.flatMap((ruleSpec, index) => {
    const matches = someMatch<HTTPRouteMatch>(ruleSpec.matches, ANY);
    const paths = matches.map((match) => httpPath(match));
    const text = paths.map(({ kind, value }) => (kind === "pattern" ? `~${value}` : value)).join(", ");
    const rule = makeRule(`${kind}/${metadata.name}`, index, text, ruleSpec);
    return matches.map((match, i): Entry => {
      const path = paths[i];
      const { method = "", headers, queryParams } = match;
      const prefix = path.kind === "prefix" ? path.value.replace(/\/+$/, "") : "";
      const target = { rule, prefix, cookiePath: cookiePath(path) };
      return entry(target, hostnames, path, order++, { method, headers, queryParams, grpc: false });
    });
  });
}

function grpcEntries({ kind, metadata, spec }: GRPCRoute, order: number): Entry[] {
  const hostnames = spec.hostnames ?? NONE;
  return spec.rules.flatMap((ruleSpec, index) => {
    const matches = someMatch<GRPCRouteMatch>(ruleSpec.matches, ANY);
    const paths = matches.map((match) => grpcPath(match));
    const text = matches.map(({ method }) => `/${method?.service ?? "*"}/${method?.method ?? "*"}`).join(", ");
    const rule = makeRule(`${kind}/${metadata.name}`, index, text, ruleSpec);
    return matches.map(({ headers }, i) => {
      const target = { rule, prefix: "", cookiePath: cookiePath(paths[i]) };
      return entry(target, hostnames, paths[i], order++, { method: "", headers, grpc: true });
    });
  });
}

/**
 * Resources in the order in which their routes count as written: those from a cluster by age, then by namespace and name, as the Gateway API has it; what has
 * no age (written by hand) after them, as it stands.
 */
export function oldestFirst(resources: readonly Resource[]): readonly Resource[] {
  if (!resources.some(({ metadata }) => metadata.creationTimestamp !== undefined)) return resources;
  const aged = resources.filter(({ metadata }) => metadata.creationTimestamp !== undefined);
  const key = ({ metadata }: Resource): string =>
    `${metadata.creationTimestamp} ${metadata.namespace ?? ""}/${metadata.name}`;
  aged.sort((a, b) => (key(a) < key(b) ? -1 : 1));
  return [...aged, ...resources.filter(({ metadata }) => metadata.creationTimestamp === undefined)];
}

interface EntryParts {
  readonly method: string;
  readonly grpc: boolean;
  readonly headers?: readonly ValueMatch[];
  readonly queryParams?: readonly ValueMatch[];
}

function entry(
  target: RuleMatch,
  hostnames: readonly string[],
  path: PathCondition,
  order: number,
  { method, grpc, headers, queryParams }: EntryParts,
): Entry {
  const fields = firstOfName(headers, true);
  const parameters = firstOfName(queryParams, false);
  const patterns = [...valuePatterns("header", fields), ...valuePatterns("query", parameters)];
  // What a look-up reads stands first: of ten thousand entries few are in a cache.
  return {
    plain: method === "" && !grpc && fields.length === 0 && parameters.length === 0,
    target,
    method,
    grpc,
    headers: flat(fields),
    query: flat(parameters),
    patterns: patterns.length === 0 ? NO_PATTERNS : patterns,
    path,
    hostnames,
    preflight: target.rule.cors !== null,
    order,
  };
}

function httpPath({ path }: HTTPRouteMatch): PathCondition {
  const value = path?.value ?? "/";
  if (path?.type === "RegularExpression") return { kind: "pattern", value, pattern: compilePattern(value) };
  // Whole segments: an empty one means nothing.
  return path?.type === "Exact" ? { kind: "exact", value } : { kind: "prefix", value: value.replace(/\/{2,}/g, "/") };
}

/** A service or method that is not written may be any. */
function grpcPath({ method }: GRPCRouteMatch): PathCondition {
  const { type, service: written = "", method: name = "" } = method ?? {};
  if (type === "RegularExpression") {
    const value = `/${grouped(written)}/${grouped(name)}`;
    return { kind: "pattern", value, pattern: compilePattern(value) };
  }
  const service = written.replace(/^\./, ""); // ".shop.v1.Products" is fully qualified; no path says so
  if (service === "") return name === "" ? { kind: "prefix", value: "/" } : { kind: "method", value: name };
  return name === "" ? { kind: "prefix", value: `/${service}` } : { kind: "exact", value: `/${service}/${name}` };
}

function grouped(pattern: string): string {
  return pattern === "" ? "[^/]+" : `(?:${pattern})`;
}

/** What a session's cookie is for (GEP-1619, "Path"): the path that is matched, of a regular expression the whole segments that it begins with. */
function cookiePath(path: PathCondition): string {
  if (path.kind === "method") return "/";
  const text =
    path.kind === "pattern" ? path.pattern.prefix.slice(0, path.pattern.prefix.lastIndexOf("/") + 1) : path.value;
  return text.replace(/\/+$/, "") || "/";
}

/** Of several conditions on one name only the first counts (HTTPHeaderMatch.name). */
function firstOfName(matches: readonly ValueMatch[] | undefined, lower: boolean): readonly ValueMatch[] {
  if (matches === undefined || matches.length === 0) return NO_MATCHES;
  const seen = new Set<string>();
  const first: ValueMatch[] = [];
  for (const match of matches) {
    const name = lower ? match.name.toLowerCase() : match.name;
    if (seen.has(name)) continue;
    seen.add(name);
    first.push({ ...match, name });
  }
  return first;
}

function flat(matches: readonly ValueMatch[]): readonly string[] {
  const exact = matches.filter(({ type }) => type !== "RegularExpression");
  return exact.length === 0 ? NONE : exact.flatMap(({ name, value }) => [name, value]);
}

function valuePatterns(where: ValuePattern["in"], matches: readonly ValueMatch[]): ValuePattern[] {
  return matches
    .filter(({ type }) => type === "RegularExpression")
    .map(({ name, value }) => ({ in: where, name, pattern: compilePattern(value) }));
}

function someMatch<Match>(matches: readonly Match[] | undefined, any: Match): readonly Match[] {
  return matches === undefined || matches.length === 0 ? [any] : matches;
}

// Shared by all entries: a system has ten thousand of them.
const ANY = {};
const NONE: readonly string[] = [];
const NO_MATCHES: readonly ValueMatch[] = [];
const NO_PATTERNS: readonly ValuePattern[] = [];
