import type { CallRequest } from "../call.ts";
import { normalPath } from "./normal-path.ts";
import { PathTable } from "./path-table.ts";
import { MAX_TEXT, type Pattern } from "./pattern.ts";
import { type Conditions, compareConditions } from "./route-conditions.ts";

export { isGrpcRequest } from "./route-conditions.ts";

/** One match of one rule. `target` is what the table finds. */
export interface RouteEntry<T> extends Conditions {
  readonly hostnames: readonly string[];
  readonly path: PathCondition;
  /** Where it was written: the last tie-break, lowest first. */
  readonly order: number;
  readonly target: T;
}

/**
 *     exact     this path
 *     pattern   a path that the expression matches as a whole
 *     prefix    this path and what is below it, by whole segments; "/" is every path
 *     method    gRPC: this method of any service, "/x.Y/Count"; `value` is the method's name
 */
export type PathCondition =
  | { readonly kind: "exact" | "prefix" | "method"; readonly value: string }
  | { readonly kind: "pattern"; readonly value: string; readonly pattern: Pattern };

/**
 * Finds the route of a request. Cost does not grow with the number of routes: a hash look-up for the host, one for the exact path, then one for each number of
 * segments that prefixes have; only entries with the same host and path are compared one by one, and regular expressions (those that can begin as the path
 * does). Measured by bench/routes.ts: 10,000 routes cost what fetching them from memory costs more than 10, 1.7 times in all on a quiet machine.
 *
 *     host      exact name > longest wildcard > any
 *     path      exact > regular expression, the longest first > longest prefix > gRPC method of any service > "/"
 *     then      with method > without; more headers; more query parameters; first written
 *
 * That is the Gateway API's precedence (HTTPRouteRule.matches, GRPCRouteRule.matches), which leaves it to implementations where regular expressions stand: here
 * before prefixes as in Envoy Gateway and Contour, since one is written as an exception from a prefix. Where the most specific host has no match the next one is
 * tried.
 */
export class RouteTable<T> {
  /** In order of precedence within a host. */
  readonly entries: readonly RouteEntry<T>[];
  readonly #hosts = new Map<string, PathTable<T>>();
  /** Without "*": ".shop.example". */
  readonly #wildcards = new Map<string, PathTable<T>>();
  readonly #any = new PathTable<T>();
  /** Some entries ask for header fields. */
  readonly readsFields: boolean;
  /** Some paths are regular expressions. */
  readonly #patterned: boolean;

  constructor(entries: readonly RouteEntry<T>[]) {
    this.entries = [...entries].sort(precedence);
    this.readsFields = entries.some(
      ({ headers, patterns }) => headers.length > 0 || patterns.some((wanted) => wanted.in === "header"),
    );
    this.#patterned = entries.some(({ path }) => path.kind === "pattern");
    for (const entry of this.entries) {
      if (entry.hostnames.length === 0) this.#any.add(entry);
      for (const name of entry.hostnames) {
        const host = name.toLowerCase();
        if (host === "*") this.#any.add(entry);
        else if (host.startsWith("*.")) tableIn(this.#wildcards, host.slice(1)).add(entry);
        else tableIn(this.#hosts, host).add(entry);
      }
    }
  }

  find(request: CallRequest): RouteEntry<T> | null {
    const bare = pathOf(request);
    // Nobody can say whether an expression matches it, so it is not another route's either, past what holds for the first.
    if (this.#patterned && bare.length > MAX_TEXT) return null;
    if (this.#hosts.size > 0 || this.#wildcards.size > 0) {
      const host = hostOf(request.authority);
      const exact = this.#hosts.get(host)?.find(request, bare);
      if (exact) return exact;
      if (this.#wildcards.size > 0) {
        for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
          const found = this.#wildcards.get(host.slice(dot))?.find(request, bare);
          if (found) return found;
        }
      }
    }
    return this.#any.find(request, bare);
  }
}

/** The path that routes are matched on: without its query, in its normal form. */
export function pathOf({ path }: CallRequest): string {
  const mark = path.indexOf("?");
  return normalPath(mark < 0 ? path : path.slice(0, mark));
}

/** An authority's host, lower-case, without port and without the dot that ends a full domain name. */
export function hostOf(authority: string): string {
  let end = authority.endsWith("]") ? -1 : authority.lastIndexOf(":");
  if (end < 0) end = authority.length;
  if (end > 1 && authority.charCodeAt(end - 1) === DOT) end--;
  return (end === authority.length ? authority : authority.slice(0, end)).toLowerCase();
}

const DOT = 0x2e;

/**
 * Which of a host's entries is asked first, whatever the request. Prefixes are compared as they are written: of two that match one request the longer
 * has more segments, too.
 */
export function precedence<T>(a: RouteEntry<T>, b: RouteEntry<T>): number {
  return rank(a) - rank(b) || lengthOf(b) - lengthOf(a) || compareConditions(a, b) || a.order - b.order;
}

function rank<T>({ path }: RouteEntry<T>): number {
  switch (path.kind) {
    case "exact":
      return 0;
    case "pattern":
      return 1;
    case "prefix":
      return isRoot(path.value) ? 4 : 2;
    default:
      return 3;
  }
}

/** Exact paths do not compete: a request has one. */
function lengthOf<T>({ path }: RouteEntry<T>): number {
  if (path.kind === "prefix") return path.value.replace(/\/+$/, "").length;
  return path.kind === "pattern" ? path.value.length : 0;
}

function isRoot(prefix: string): boolean {
  return /^\/*$/.test(prefix);
}

function tableIn<T>(tables: Map<string, PathTable<T>>, key: string): PathTable<T> {
  let table = tables.get(key);
  if (table === undefined) tables.set(key, (table = new PathTable<T>()));
  return table;
}
