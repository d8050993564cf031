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

class PathIndex<T> {
  readonly #exact = new Map<string, Entries<T>>();
  #patterns: RouteEntry<T>[] | null = null;
  readonly #root = new PrefixNode<T>();
  /** gRPC methods of any service, by name. */
  #methods: Map<string, Entries<T>> | null = null;

  add(entry: RouteEntry<T>): void {
    const { kind, value } = entry.path;
    switch (kind) {
      case "exact":
        this.#exact.set(value, joined(this.#exact.get(value), entry));
        break;
      case "pattern":
        (this.#patterns ??= []).push(entry);
        break;
      case "method":
        this.#methods ??= new Map();
        this.#methods.set(value, joined(this.#methods.get(value), entry));
        break;
      default:
        this.#addPrefix(value, entry);
    }
  }

  find(request: CallRequest, path: string): RouteEntry<T> | null {
    const exact = this.#exact.get(path);
    if (exact !== undefined) {
      const found = firstOf(exact, request);
      if (found !== null) return found;
    }
    if (this.#patterns !== null) {
      for (const entry of this.#patterns)
        if (pathMeets(entry.path, path) && conditionsHold(entry, request)) return entry;
    }
    const below = this.#descend(this.#root, path, 1, request);
    if (below !== null) return below;
    if (this.#methods !== null) {
      const slash = path.indexOf("/", 1);
      const entries = slash < 0 ? undefined : this.#methods.get(path.slice(slash + 1));
      const found = entries === undefined ? null : firstOf(entries, request);
      if (found !== null) return found;
    }
    const { entries } = this.#root;
    return entries === null ? null : firstOf(entries, request);
  }

  #addPrefix(prefix: string, entry: RouteEntry<T>): void {
    let node = this.#root;
    const segments = prefix.split("/").filter((segment) => segment !== "");
    const last = segments.pop();
    if (last === undefined) {
      node.entries = joined(node.entries ?? undefined, entry);
      return;
    }
    for (const segment of segments) {
      node.children ??= new Map();
      const child = node.children.get(segment);
      if (child instanceof PrefixNode) node = child;
      else {
        const below = new PrefixNode<T>();
        below.entries = child ?? null;
        node.children.set(segment, below);
        node = below;
      }
    }
    node.children ??= new Map();
    const child = node.children.get(last);
    if (child instanceof PrefixNode) child.entries = joined(child.entries ?? undefined, entry);
    else node.children.set(last, joined(child, entry));
  }

  /** What is below the node, the deepest first. `from` is where the next segment begins. */
  #descend(node: PrefixNode<T>, path: string, from: number, request: CallRequest): RouteEntry<T> | null {
    if (node.children === null || from >= path.length) return null;
    const slash = path.indexOf("/", from);
    const end = slash < 0 ? path.length : slash;
    const child = node.children.get(path.slice(from, end));
    if (child === undefined) return null;
    if (!(child instanceof PrefixNode)) return firstOf(child, request);
    const found = this.#descend(child, path, end + 1, request);
    if (found !== null) return found;
    return child.entries === null ? null : firstOf(child.entries, request);
  }
}

class PrefixNode<T> {
  /** What has nothing below it stands here without a node of its own. */
  children: Map<string, PrefixNode<T> | Entries<T>> | null = null;
  entries: Entries<T> | null = null;
}

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
