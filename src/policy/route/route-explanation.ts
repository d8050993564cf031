import { nearest } from "../../core/suggest.ts";
import type { CallRequest } from "../call.ts";
import { unmetCondition } from "./route-conditions.ts";
import { hostOf, type PathCondition, pathOf, precedence, type RouteEntry, type RouteTable } from "./route-table.ts";
import type { Rule, RuleMatch } from "./rule.ts";

/*
 * Why a request takes a route and not another, in words; only when somebody reads. The order is that of a gateway which asks one rule after the other: the
 * most specific host first, then as in route-table.ts.
 */

export interface RoutePlace {
  /** Counted from 1, of `rules`. */
  readonly rule: number;
  readonly rules: number;
  /** Of a rule with several matches the one that took the request: "PUT /v1/orders". */
  readonly match: string;
  /** "1st: host differs, 2nd: needs header x-lane: blue": rules before it for the same path, nearest first; "" when there are none. */
  readonly before: string;
}

/** Where a rule that a request matched stands in its table. Without a request only its number. */
export function placeOf(table: RouteTable<RuleMatch>, rule: Rule, request: CallRequest | null): RoutePlace {
  const entries = inOrder(table);
  const rules = [...new Set(entries.map(({ target }) => target.rule))];
  const place = { rule: rules.indexOf(rule) + 1, rules: rules.length, match: "", before: "" };
  if (request === null) return place;
  const path = pathOf(request);
  const matched = entries.findIndex((entry) => entry.target.rule === rule && reason(entry, request, path, true) === "");
  const before: string[] = [];
  for (let i = matched - 1; i >= 0 && before.length < MAX_NAMED; i--) {
    const entry = entries[i];
    if (entry.target.rule === rule || !pathMatches(entry.path, path)) continue;
    const why = reason(entry, request, path, true) || "a less specific host";
    before.push(`${ordinal(rules.indexOf(entry.target.rule) + 1)}: ${why}`);
  }
  const several = entries.filter(({ target }) => target.rule === rule).length > 1;
  const match = several && matched >= 0 ? matchText(entries[matched]) : "";
  return { ...place, match, before: before.join(", ") };
}

export interface NearMiss {
  readonly rule: Rule;
  /** "is for GET", "needs header x-lane", "is for other hosts"; "" when only its path is alike. */
  readonly why: string;
}

/**
 * The rule that a request was probably meant for which none matches; null when none is near. With `told` false it is for the caller: without values, and at the
 * cost of looking at some of the rules only.
 */
export function nearestMiss(table: RouteTable<RuleMatch>, request: CallRequest, told: boolean): NearMiss | null {
  const path = pathOf(request);
  const entries = told ? inOrder(table) : table.entries.slice(0, MAX_LOOKED_AT);
  const samePath = entries.filter((entry) => pathMatches(entry.path, path));
  const host = hostOf(request.authority);
  const found = samePath.find((entry) => hostMatches(entry, host)) ?? samePath.at(0);
  if (found !== undefined) {
    const why = hostMatches(found, host)
      ? unmetCondition(found, request, told)
      : `is for ${told ? found.hostnames.join(", ") : "other hosts"}`;
    return { rule: found.target.rule, why };
  }
  if (path.length > MAX_SPELT_LENGTH) return null;
  const spelt = entries.filter(({ path: { kind } }) => kind === "exact" || kind === "prefix").slice(0, MAX_SPELT);
  const like = nearest(
    path,
    spelt.map((entry) => entry.path.value),
  );
  const alike = like === "" ? undefined : spelt.find((entry) => entry.path.value === like);
  return alike === undefined ? null : { rule: alike.target.rule, why: "" };
}

/** "" when the entry takes the request. */
function reason(entry: RouteEntry<RuleMatch>, request: CallRequest, path: string, values: boolean): string {
  if (!hostMatches(entry, hostOf(request.authority))) return "host differs";
  return pathMatches(entry.path, path) ? unmetCondition(entry, request, values) : "path differs";
}

function hostMatches({ hostnames }: RouteEntry<RuleMatch>, host: string): boolean {
  if (hostnames.length === 0) return true;
  return hostnames.some((name) => {
    const wanted = name.toLowerCase();
    return wanted === "*" || wanted === host || (wanted.startsWith("*.") && host.endsWith(wanted.slice(1)));
  });
}

function pathMatches(condition: PathCondition, path: string): boolean {
  const { kind, value } = condition;
  switch (kind) {
    case "exact":
      return path === value;
    case "pattern":
      return condition.pattern.matches(path);
    case "method": {
      const slash = path.indexOf("/", 1);
      return slash > 0 && path.slice(slash + 1) === value;
    }
    default: {
      const bare = value.replace(/\/+$/, "");
      return path.startsWith(bare) && (path.length === bare.length || path[bare.length] === "/");
    }
  }
}

function matchText({ method, path, headers, query, patterns }: RouteEntry<RuleMatch>): string {
  const parts = [`${method === "" ? "" : `${method} `}${path.kind === "pattern" ? "~" : ""}${path.value}`];
  for (let i = 0; i < headers.length; i += 2) parts.push(`header ${headers[i]}`);
  for (let i = 0; i < query.length; i += 2) parts.push(`query ${query[i]}`);
  for (const wanted of patterns) parts.push(`${wanted.in} ${wanted.name}`);
  return parts.join(" ");
}

function inOrder(table: RouteTable<RuleMatch>): readonly RouteEntry<RuleMatch>[] {
  return [...table.entries].sort((a, b) => hostRank(b) - hostRank(a) || precedence(a, b));
}

/** Of its most specific name. */
function hostRank({ hostnames }: RouteEntry<RuleMatch>): number {
  return Math.max(0, ...hostnames.map((name) => (name === "*" ? 0 : name.length + (name.startsWith("*") ? 0 : 1_000))));
}

function ordinal(number: number): string {
  const tens = number % 100;
  const ending = tens >= 11 && tens <= 13 ? "th" : (["th", "st", "nd", "rd"][number % 10] ?? "th");
  return `${number}${ending}`;
}

const MAX_NAMED = 3;
/** For an answer that anybody can ask for. */
const MAX_LOOKED_AT = 500;
const MAX_SPELT = 100;
const MAX_SPELT_LENGTH = 128;
