import { pathMeets } from "./path-table.ts";
import { precedence, type RouteEntry, type RouteTable } from "./route-table.ts";
import type { Rule, RuleMatch } from "./rule.ts";

type Entry = RouteEntry<RuleMatch>;

/**
 * A table's entries in the order in which a gateway would ask them that asks one after the other: the most specific host first, then as in route-table.ts. Made when
 * somebody wants an explanation, and kept by the snapshot: a process that turns a thousand decisions into words must not sort ten thousand routes for each.
 */
export class RouteOrder {
  readonly entries: readonly Entry[];
  /** The rules by their first entry, counted from 1. */
  readonly numbers = new Map<Rule, number>();
  /** Positions of each rule's entries. */
  readonly #ofRule = new Map<Rule, number[]>();
  /** Positions of entries by what their path says, and of those that one cannot look up. */
  readonly #exact = new Map<string, number[]>();
  readonly #prefixes = new Map<string, number[]>();
  readonly #others: number[] = [];

  constructor(table: RouteTable<RuleMatch>) {
    const ranked = table.entries.map((entry) => ({ entry, host: hostRank(entry) }));
    ranked.sort((a, b) => b.host - a.host || precedence(a.entry, b.entry));
    this.entries = ranked.map(({ entry }) => entry);
    this.entries.forEach(({ path, target: { rule } }, at) => {
      if (!this.numbers.has(rule)) this.numbers.set(rule, this.numbers.size + 1);
      push(this.#ofRule, rule, at);
      if (path.kind === "exact") push(this.#exact, path.value, at);
      else if (path.kind === "prefix") push(this.#prefixes, bare(path.value), at);
      else this.#others.push(at);
    });
  }

  positionsOf(rule: Rule): readonly number[] {
    return this.#ofRule.get(rule) ?? [];
  }

  /** Positions of the entries whose path condition a path meets, in order. */
  atPath(path: string): number[] {
    const found = [...(this.#exact.get(path) ?? [])];
    for (let end = path.length; end >= 0; end = end === 0 ? -1 : path.lastIndexOf("/", end - 1))
      found.push(...(this.#prefixes.get(bare(path.slice(0, end))) ?? []));
    for (const at of this.#others) if (pathMeets(this.entries[at].path, path)) found.push(at);
    return [...new Set(found)].sort((a, b) => a - b);
  }
}

function bare(prefix: string): string {
  return prefix.replace(/\/+$/, "");
}

/** Of its most specific name. */
function hostRank({ hostnames }: Entry): number {
  let rank = 0;
  for (const name of hostnames)
    if (name !== "*") rank = Math.max(rank, name.length + (name.startsWith("*") ? 0 : 1_000));
  return rank;
}

function push<Key>(lists: Map<Key, number[]>, key: Key, value: number): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
