import type { CallRequest } from "../call.ts";
import { conditionsHold } from "./route-conditions.ts";
import type { PathCondition, RouteEntry } from "./route-table.ts";

/**
 * One host's entries by their paths. Entries must be added in order of precedence (route-table.ts). A few are compared one by one: a gateway for thousands of
 * hosts has few routes for each, and every map on the way to one of them is memory that no cache holds.
 */
export class PathTable<T> {
  /** All entries, while they are few; null afterwards. */
  #few: RouteEntry<T>[] | null = [];
  #index: PathIndex<T> | null = null;

  add(entry: RouteEntry<T>): void {
    if (this.#few !== null) {
      this.#few.push(entry);
      if (this.#few.length <= FEW) return;
      const index = new PathIndex<T>();
      for (const one of this.#few) index.add(one);
      this.#index = index;
      this.#few = null;
    } else this.#index?.add(entry);
  }

  find(request: CallRequest, path: string): RouteEntry<T> | null {
    if (this.#few === null) return (this.#index as PathIndex<T>).find(request, path);
    for (const entry of this.#few) if (pathMeets(entry.path, path) && conditionsHold(entry, request)) return entry;
    return null;
  }
}

/** Whether a path (without its query) is one that a condition means. */
export function pathMeets(condition: PathCondition, path: string): boolean {
  const { value } = condition;
  switch (condition.kind) {
    case "exact":
      return path === value;
    case "pattern":
      return condition.pattern.matches(path);
    case "method": {
      const slash = path.indexOf("/", 1);
      return slash > 0 && path.length === slash + 1 + value.length && path.endsWith(value);
    }
    default: {
      let end = value.length;
      while (end > 0 && value[end - 1] === "/") end--;
      if (path.length < end || !path.startsWith(end === value.length ? value : value.slice(0, end))) return false;
      return path.length === end || path[end] === "/";
    }
  }
}

const FEW = 4;

/**
 * Exact paths and prefixes in hash maps. Prefixes are looked up by their numbers of segments, the deepest first: a system's prefixes have few
 * different depths, and a look-up touches less memory than a walk down a tree.
 */
class PathIndex<T> {
  readonly #exact = new Map<string, Entries<T>>();
  /** A bit for each length that exact paths have, modulo 128: to look in vain costs as much memory as to find. */
  readonly #lengths = new Int32Array(4);
  #patterns: RouteEntry<T>[] | null = null;
  /** Without a slash at the end; not "/". */
  readonly #prefixes = new Map<string, Entries<T>>();
  /** How many segments prefixes have, the most first. */
  #depths: number[] = [];
  /** gRPC methods of any service, by name. */
  #methods: Map<string, Entries<T>> | null = null;
  /** Of every path. */
  #roots: RouteEntry<T>[] | null = null;

  add(entry: RouteEntry<T>): void {
    const { kind, value } = entry.path;
    switch (kind) {
      case "exact":
        this.#exact.set(value, joined(this.#exact.get(value), entry));
        this.#lengths[(value.length >> 5) & 3] |= 1 << (value.length & 31);
        break;
      case "pattern":
        (this.#patterns ??= []).push(entry);
        break;
      case "method":
        this.#methods ??= new Map();
        this.#methods.set(value, joined(this.#methods.get(value), entry));
        break;
      default:
        this.#addPrefix(value.replace(/\/+$/, ""), entry);
    }
  }

  find(request: CallRequest, path: string): RouteEntry<T> | null {
    const { length } = path;
    const mayBe = (this.#lengths[(length >> 5) & 3] >>> (length & 31)) & 1;
    const exact = mayBe === 1 ? this.#exact.get(path) : undefined;
    if (exact !== undefined) {
      const found = firstOf(exact, request);
      if (found !== null) return found;
    }
    if (this.#patterns !== null) {
      for (const entry of this.#patterns)
        if (pathMeets(entry.path, path) && conditionsHold(entry, request)) return entry;
    }
    const below = this.#depths.length === 0 ? null : this.#longestPrefix(request, path);
    if (below !== null) return below;
    if (this.#methods !== null) {
      const slash = path.indexOf("/", 1);
      const entries = slash < 0 ? undefined : this.#methods.get(path.slice(slash + 1));
      const found = entries === undefined ? null : firstOf(entries, request);
      if (found !== null) return found;
    }
    return this.#roots === null ? null : firstOf(this.#roots, request);
  }

  #addPrefix(prefix: string, entry: RouteEntry<T>): void {
    if (prefix === "") {
      (this.#roots ??= []).push(entry);
      return;
    }
    this.#prefixes.set(prefix, joined(this.#prefixes.get(prefix), entry));
    const depth = prefix.split("/").length - 1;
    if (!this.#depths.includes(depth)) this.#depths = [...this.#depths, depth].sort((a, b) => b - a);
  }

  #longestPrefix(request: CallRequest, path: string): RouteEntry<T> | null {
    const most = this.#depths[0];
    // Where each segment ends, as far as there are prefixes so deep.
    let segments = 0;
    for (let from = 0; from < path.length && segments < most; ) {
      const slash = path.indexOf("/", from + 1);
      from = slash < 0 ? path.length : slash;
      ENDS[segments++] = from;
    }
    for (const depth of this.#depths) {
      if (depth > segments) continue;
      const entries = this.#prefixes.get(path.slice(0, ENDS[depth - 1]));
      const found = entries === undefined ? null : firstOf(entries, request);
      if (found !== null) return found;
    }
    return null;
  }
}

/** Of one look-up at a time. A path has at most 1,024 characters (PATH), and so a prefix at most 512 segments. */
const ENDS = new Uint32Array(1_024);

/** Nearly always one: a list of its own costs a path 100 bytes. */
type Entries<T> = RouteEntry<T> | RouteEntry<T>[];

function joined<T>(before: Entries<T> | undefined, entry: RouteEntry<T>): Entries<T> {
  if (before === undefined) return entry;
  if (!Array.isArray(before)) return [before, entry];
  before.push(entry);
  return before;
}

function firstOf<T>(entries: Entries<T>, request: CallRequest): RouteEntry<T> | null {
  if (!Array.isArray(entries)) return conditionsHold(entries, request) ? entries : null;
  for (const entry of entries) if (conditionsHold(entry, request)) return entry;
  return null;
}
