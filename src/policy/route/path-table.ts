import type { CallRequest } from "../call.ts";
import { conditionsHold } from "./route-conditions.ts";
import type { RouteEntry } from "./route-table.ts";

/** One host's entries by their paths. Entries must be added in order of precedence (route-table.ts). */
export class PathTable<T> {
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
      for (const entry of this.#patterns) {
        if (entry.path.kind === "pattern" && entry.path.pattern.matches(path) && conditionsHold(entry, request))
          return entry;
      }
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
    for (const segment of prefix.split("/")) {
      if (segment === "") continue;
      node.children ??= new Map();
      let child = node.children.get(segment);
      if (child === undefined) node.children.set(segment, (child = new PrefixNode<T>()));
      node = child;
    }
    node.entries = joined(node.entries ?? undefined, entry);
  }

  /** What is below the node, the deepest first. `from` is where the next segment begins. */
  #descend(node: PrefixNode<T>, path: string, from: number, request: CallRequest): RouteEntry<T> | null {
    if (node.children === null || from >= path.length) return null;
    const slash = path.indexOf("/", from);
    const end = slash < 0 ? path.length : slash;
    const child = node.children.get(path.slice(from, end));
    if (child === undefined) return null;
    const found = this.#descend(child, path, end + 1, request);
    if (found !== null) return found;
    return child.entries === null ? null : firstOf(child.entries, request);
  }
}

class PrefixNode<T> {
  children: Map<string, PrefixNode<T>> | null = null;
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
