import type { GRPCRoute, HTTPRoute, Resource } from "../resource/resources.ts";
import { normalPath } from "../route/normal-path.ts";
import type { ValuePattern } from "../route/route-conditions.ts";
import { oldestFirst, routeEntries } from "../route/route-entries.ts";
import { type PathCondition, precedence, type RouteEntry } from "../route/route-table.ts";
import type { RuleMatch } from "../route/rule.ts";
import { isSessionRoute } from "../route/session-route.ts";
import { type SessionEntry, sessionEntry } from "../route/session-table.ts";
import type { CheckedSystem } from "./checked-system.ts";
import { type Finding, finding } from "./finding.ts";

/**
 * Matches of routes that no request can reach: those whose path no request has, and those of which every request belongs to another match that is tried first.
 *
 * A match is a product of sets: host x path x method x headers x query. Every set is one value, all values, or all that begin in a way; none excludes
 * single values. So a match that several others cover together is covered by one of them alone: the request that meets it and is otherwise unlike anything
 * written anywhere must be somebody's, and whoever takes that one takes all. It is therefore enough to look for one that covers it, and exact. With regular
 * expressions it is exact where the expression is the same, is a text with ".*" behind, or is asked about one text; otherwise nothing is said.
 */
export function unreachableRoutes({ resources, placeOf }: CheckedSystem): Finding[] {
  const findings: Finding[] = [];
  for (const entries of tablesOf(resources).values()) {
    const rivals = rivalsIn(entries);
    for (const match of entries) {
      const place = placeOf(match.route, match.path);
      const impossible = impossiblePath(match.entry.path);
      if (impossible !== "") {
        findings.push(finding("route-never-matches", place, `${nameOf(match)} never matches: ${impossible}`));
        continue;
      }
      const first = coveredBy(match, rivals(match));
      if (first === null) continue;
      const other = placeOf(first.route, first.path);
      const same = first.entry.target.rule === match.entry.target.rule;
      findings.push(
        finding(
          "route-never-matches",
          place,
          `${nameOf(match)} never matches: every such request goes to ${same ? "another match of the same rule" : nameOf(first)} first`,
          same ? "take it out" : "make it more specific, or take one of the two out",
          [{ place: other, message: `${nameOf(first)} takes its requests` }],
        ),
      );
    }
  }
  return [...findings, ...unreachableSessions({ resources, placeOf })];
}

/** Routes of sessions all of whose sessions go to another that was written before. */
function unreachableSessions({ resources, placeOf }: Pick<CheckedSystem, "resources" | "placeOf">): Finding[] {
  const findings: Finding[] = [];
  const before: SessionEntry[] = [];
  for (const resource of oldestFirst(resources)) {
    if (!isSessionRoute(resource)) continue;
    const parents = resource.spec.parentRefs ?? [];
    if (parents.length > 0 && parents.every(({ kind }) => kind === "Service")) continue;
    const entry = sessionEntry(resource);
    const first = before.find((other) => coversSessions(other, entry));
    before.push(entry);
    if (first === undefined) continue;
    const name = `${first.kind} ${first.route.metadata.name}`;
    findings.push(
      finding(
        "route-never-matches",
        placeOf(resource, ["spec"]),
        `${entry.kind} ${resource.metadata.name} never matches: every such session goes to ${name} first`,
        "name another listener or server name, or take one of the two out",
        [{ place: placeOf(first.route, ["spec"]), message: `${name} takes its sessions` }],
      ),
    );
  }
  return findings;
}

function coversSessions(a: SessionEntry, b: SessionEntry): boolean {
  if (a.kind !== b.kind || !b.hostnames.every((name) => a.hostnames.includes(name))) return false;
  if (a.listeners.length === 0) return true;
  return (
    b.listeners.length > 0 &&
    b.listeners.every(({ name, port }) =>
      a.listeners.some(
        (listener) =>
          (listener.name === undefined || listener.name === name) &&
          (listener.port === undefined || listener.port === port),
      ),
    )
  );
}

interface Match {
  readonly entry: RouteEntry<RuleMatch>;
  readonly route: HTTPRoute | GRPCRoute;
  /** Of the match, in the resource. */
  readonly path: readonly (string | number)[];
}

/** Matches by where they are asked: the gateway ("") or calls to a service. */
function tablesOf(resources: readonly Resource[]): Map<string, Match[]> {
  const tables = new Map<string, Match[]>();
  let order = 0;
  for (const route of oldestFirst(resources)) {
    if (route.kind !== "HTTPRoute" && route.kind !== "GRPCRoute") continue;
    const entries = routeEntries(route, order);
    order += entries.length;
    const paths = route.spec.rules.flatMap(({ matches }, i) =>
      matches === undefined || matches.length === 0
        ? [["spec", "rules", i]]
        : matches.map((_, j) => ["spec", "rules", i, "matches", j]),
    );
    const parents = route.spec.parentRefs ?? [];
    const keys = new Set(parents.map(({ kind, name }) => (kind === "Service" ? name : "")));
    if (parents.length === 0) keys.add("");
    for (const key of keys) {
      const matches = tables.get(key) ?? [];
      tables.set(key, matches);
      // A service's routes see calls whatever host they name.
      entries.forEach((entry, i) => {
        matches.push({ entry: key === "" ? entry : { ...entry, hostnames: [] }, route, path: paths[i] });
      });
    }
  }
  return tables;
}

/** Why no request has such a path, "" when some may. */
function impossiblePath({ kind, value }: PathCondition): string {
  if (kind !== "exact" && kind !== "prefix") return "";
  if (/[?#]/.test(value)) return `a path is compared without its query, and "${value}" has one; use queryParams`;
  const normal = normalPath(value);
  const wanted = kind === "prefix" ? value.replace(/(.)\/+$/, "$1") : value;
  const is = kind === "prefix" ? normal.replace(/(.)\/+$/, "$1") : normal;
  return is === wanted ? "" : `paths are compared as ${normal}, and "${value}" is another text`;
}

/** What could take a match's requests: what has the same path, and regular expressions; of 10,000 routes a few. */
function rivalsIn(entries: readonly Match[]): (match: Match) => readonly Match[] {
  const patterns = entries.filter(({ entry }) => entry.path.kind === "pattern");
  const byPath = new Map<string, Match[]>();
  const keyOf = ({ entry }: Match): string =>
    `${entry.path.kind} ${entry.path.kind === "prefix" ? entry.path.value.replace(/\/+$/, "") : entry.path.value}`;
  for (const match of entries) {
    if (match.entry.path.kind === "pattern") continue;
    const same = byPath.get(keyOf(match));
    if (same === undefined) byPath.set(keyOf(match), [match]);
    else same.push(match);
  }
  return (match) =>
    patterns.length === 0 ? (byPath.get(keyOf(match)) ?? []) : [...(byPath.get(keyOf(match)) ?? []), ...patterns];
}

/** The match that takes all requests of this one for each of its hosts; null when some are left. */
function coveredBy(match: Match, all: readonly Match[]): Match | null {
  const hosts = match.entry.hostnames.length === 0 ? ["*"] : match.entry.hostnames;
  let found: Match | null = null;
  for (const host of hosts) {
    const other = all.find(
      (candidate) =>
        candidate !== match &&
        precedence(candidate.entry, match.entry) < 0 &&
        atHost(candidate.entry, host) &&
        covers(candidate.entry, match.entry),
    );
    if (other === undefined) return null;
    found ??= other;
  }
  return found;
}

/** Only entries of the same host are compared: the more specific host comes first whatever else is written. */
function atHost({ hostnames }: RouteEntry<RuleMatch>, host: string): boolean {
  const names = hostnames.length === 0 ? ["*"] : hostnames;
  return names.some((name) => name.toLowerCase() === host.toLowerCase());
}

function covers(a: RouteEntry<RuleMatch>, b: RouteEntry<RuleMatch>): boolean {
  if (a.grpc && !b.grpc) return false;
  if (a.method !== "" && a.method !== b.method) return false;
  if (b.preflight && a.method !== "" && !a.preflight) return false;
  return (
    coversPath(a.path, b.path) &&
    isSubset(a.headers, b.headers) &&
    isSubset(a.query, b.query) &&
    a.patterns.every((wanted) => implied(wanted, b))
  );
}

function coversPath(a: PathCondition, b: PathCondition): boolean {
  if (a.kind === "exact") return b.kind === "exact" && a.value === b.value;
  if (a.kind === "pattern") {
    if (b.kind === "exact") return a.pattern.matches(b.value);
    if (b.kind === "pattern") return a.value === b.value;
    const start = literalStart(a.value);
    return start !== null && (start === "" || start === "/" || (b.kind === "prefix" && b.value.startsWith(start)));
  }
  if (a.kind === "method") return b.kind === "method" && a.value === b.value;
  if (b.kind === "pattern") return false;
  const prefix = a.value.replace(/\/+$/, "");
  if (prefix === "") return true;
  return b.kind !== "method" && (b.value === prefix || b.value.startsWith(`${prefix}/`));
}

/** "/v1" of "/v1.*": what all texts begin with that the expression matches, when it matches all of them; null for other expressions. */
function literalStart(source: string): string | null {
  const bare = source.replace(/^\^/, "").replace(/\$$/, "");
  if (!bare.endsWith(".*")) return null;
  const start = bare.slice(0, -2);
  return /[\\.*+?()[\]{}|^$]/.test(start) ? null : start;
}

function isSubset(a: readonly string[], b: readonly string[]): boolean {
  for (let i = 0; i < a.length; i += 2) if (!hasPair(b, a[i], (value) => value === a[i + 1])) return false;
  return true;
}

function implied(
  { in: where, name, pattern }: ValuePattern,
  { headers, query, patterns }: RouteEntry<RuleMatch>,
): boolean {
  const exact = where === "header" ? headers : query;
  if (hasPair(exact, name, (value) => pattern.matches(value))) return true;
  return patterns.some((other) => other.in === where && other.name === name && other.pattern.source === pattern.source);
}

function hasPair(pairs: readonly string[], name: string, holds: (value: string) => boolean): boolean {
  for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === name && holds(pairs[i + 1])) return true;
  return false;
}

function nameOf({ route, path, entry }: Match): string {
  const rule = entry.target.rule.name;
  const which = rule === "" ? `rule ${Number(path[2]) + 1}` : `rule ${rule}`;
  const match = path.length > 3 ? `, match ${Number(path[4]) + 1}` : "";
  return `${route.kind} ${route.metadata.name}, ${which}${match} (${entry.path.value})`;
}
