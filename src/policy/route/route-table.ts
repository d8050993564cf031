import type { CallRequest } from "../call.ts";
import { normalPath } from "./normal-path.ts";

/** Conditions of one match of one rule. `target` is what the table finds. */
export interface RouteEntry<T> {
  readonly hostnames: readonly string[];
  readonly path: { readonly exact: boolean; readonly value: string };
  /** "" for any. */
  readonly method: string;
  /** Only gRPC requests. */
  readonly grpc: boolean;
  /** Flat [name, value, ...], names lower-case. */
  readonly headers: readonly string[];
  readonly query: readonly string[];
  /** Where it was written: the last tie-break, lowest first. */
  readonly order: number;
  readonly target: T;
}

/**
 * Finds the route of a request. Cost does not grow with the number of routes: a hash look-up for the host, one for the exact path, then a walk down
 * the path's segments; only entries with the same host and path are compared one by one.
 *
 *     host      exact name > longest wildcard > any
 *     path      exact > longest prefix
 *     then      with method > without; more headers; more query parameters; first written
 *
 * That is the Gateway API's precedence. Where the most specific host has no match the next one is tried.
 */
export class RouteTable<T> {
  readonly #hosts = new Map<string, PathTable<T>>();
  /** Without "*": ".shop.example". */
  readonly #wildcards = new Map<string, PathTable<T>>();
  readonly #any = new PathTable<T>();

  constructor(entries: readonly RouteEntry<T>[]) {
    const ordered = [...entries].sort(precedence);
    for (const entry of ordered) {
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
    const { path } = request;
    const mark = path.indexOf("?");
    const bare = normalPath(mark < 0 ? path : path.slice(0, mark));
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

class PathTable<T> {
  readonly #exact = new Map<string, RouteEntry<T>[]>();
  readonly #root = new PrefixNode<T>();

  /** Entries come in order of precedence. */
  add(entry: RouteEntry<T>): void {
    const { exact, value } = entry.path;
    if (exact) {
      const entries = this.#exact.get(value);
      if (entries === undefined) this.#exact.set(value, [entry]);
      else entries.push(entry);
      return;
    }
    let node = this.#root;
    for (const segment of value.split("/")) {
      if (segment === "") continue;
      let child = node.children.get(segment);
      if (child === undefined) node.children.set(segment, (child = new PrefixNode<T>()));
      node = child;
    }
    node.entries.push(entry);
  }

  find(request: CallRequest, path: string): RouteEntry<T> | null {
    const exact = this.#exact.get(path);
    if (exact !== undefined) {
      const found = firstMatch(exact, request);
      if (found !== null) return found;
    }
    return this.#descend(this.#root, path, 1, request);
  }

  /** Deepest first. `from` is where the next segment begins. */
  #descend(node: PrefixNode<T>, path: string, from: number, request: CallRequest): RouteEntry<T> | null {
    if (node.children.size > 0 && from < path.length) {
      const slash = path.indexOf("/", from);
      const end = slash < 0 ? path.length : slash;
      const child = node.children.get(path.slice(from, end));
      if (child !== undefined) {
        const found = this.#descend(child, path, end + 1, request);
        if (found !== null) return found;
      }
    }
    return node.entries.length === 0 ? null : firstMatch(node.entries, request);
  }
}

class PrefixNode<T> {
  readonly children = new Map<string, PrefixNode<T>>();
  readonly entries: RouteEntry<T>[] = [];
}

function tableIn<T>(tables: Map<string, PathTable<T>>, key: string): PathTable<T> {
  let table = tables.get(key);
  if (table === undefined) tables.set(key, (table = new PathTable<T>()));
  return table;
}

function firstMatch<T>(entries: readonly RouteEntry<T>[], request: CallRequest): RouteEntry<T> | null {
  for (const entry of entries) {
    if (entry.method !== "" && entry.method !== request.method) continue;
    if (entry.grpc && !isGrpcRequest(request)) continue;
    if (entry.headers.length > 0 && !hasFields(request.fields, entry.headers)) continue;
    if (entry.query.length > 0 && !hasQuery(request.path, entry.query)) continue;
    return entry;
  }
  return null;
}

/** A request of gRPC proper (not gRPC-Web). */
export function isGrpcRequest({ fields }: CallRequest): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "content-type") continue;
    const type = fields[i + 1];
    return type.startsWith("application/grpc") && (type.length === 16 || type[16] === "+" || type[16] === ";");
  }
  return false;
}

function hasFields(fields: readonly string[], wanted: readonly string[]): boolean {
  for (let i = 0; i < wanted.length; i += 2) {
    let found = false;
    for (let j = 0; j < fields.length && !found; j += 2)
      found = fields[j] === wanted[i] && fields[j + 1] === wanted[i + 1];
    if (!found) return false;
  }
  return true;
}

/** The first value of each name counts, as Gateway API advises. */
function hasQuery(path: string, wanted: readonly string[]): boolean {
  const mark = path.indexOf("?");
  if (mark < 0) return false;
  const query = new URLSearchParams(path.slice(mark + 1));
  for (let i = 0; i < wanted.length; i += 2) if (query.get(wanted[i]) !== wanted[i + 1]) return false;
  return true;
}

function hostOf(authority: string): string {
  const end = authority.endsWith("]") ? -1 : authority.lastIndexOf(":");
  return (end < 0 ? authority : authority.slice(0, end)).toLowerCase();
}

function precedence<T>(a: RouteEntry<T>, b: RouteEntry<T>): number {
  return (
    Number(b.method !== "") - Number(a.method !== "") ||
    b.headers.length - a.headers.length ||
    b.query.length - a.query.length ||
    a.order - b.order
  );
}
