import { nearest } from "../../core/suggest.ts";
import type { CallRequest } from "../call.ts";
import { unmetCondition } from "./route-conditions.ts";
import type { RouteOrder } from "./route-order.ts";
import { hostOf, pathOf, type RouteEntry } from "./route-table.ts";
import type { Rule, RuleMatch } from "./rule.ts";

/* Why a request takes a route and not another, in words; only when somebody reads. */

type Entry = RouteEntry<RuleMatch>;

export interface RoutePlace {
  /** Counted from 1, of `rules`. */
  readonly rule: number;
  readonly rules: number;
  /** Of a rule with several matches the one that took the request: "PUT /v1/orders". */
  readonly match: string;
  /** "2nd: needs header x-lane: blue, 1st: host differs": rules before it for the same path, nearest first; "" when there are none. */
  readonly before: string;
}

/** Where a rule that a request matched stands. Without a request only its number. */
export function placeInOrder(order: RouteOrder, rule: Rule, request: CallRequest | null): RoutePlace {
  const { entries, numbers } = order;
  const place = { rule: numbers.get(rule) ?? 0, rules: numbers.size, match: "", before: "" };
  if (request === null) return place;
  const host = hostOf(request.authority);
  const candidates = order.atPath(pathOf(request)).map((at) => entries[at]);
  const matched = candidates.findIndex((entry) => entry.target.rule === rule && reason(entry, request, host) === "");
  if (matched < 0) return place; // it was matched as the gRPC call that it was turned into
  const before: string[] = [];
  for (let i = matched - 1; i >= 0 && before.length < MAX_NAMED; i--) {
    const other = candidates[i];
    if (other.target.rule === rule) continue;
    const why = reason(other, request, host) || "a less specific host";
    before.push(`${ordinal(numbers.get(other.target.rule) ?? 0)}: ${why}`);
  }
  const match = order.positionsOf(rule).length > 1 ? matchText(candidates[matched]) : "";
  return { ...place, match, before: before.join(", ") };
}

export interface NearMiss {
  readonly rule: Rule;
  /** "is for GET", "needs header x-lane", "is for other hosts"; "" when only its path is alike. */
  readonly why: string;
}

/**
 * The rule that a request was probably meant for which none matches; null when none is near. With `told` false it is for the caller, and without values. Spelling
 * is compared with some of the rules only: anybody can ask for what is not there.
 */
export function nearestMiss(order: RouteOrder, request: CallRequest, told: boolean): NearMiss | null {
  const path = pathOf(request);
  const host = hostOf(request.authority);
  const samePath = order.atPath(path).map((at) => order.entries[at]);
  const found = samePath.find((entry) => hostMatches(entry, host)) ?? samePath.at(0);
  if (found !== undefined) {
    const why = hostMatches(found, host)
      ? unmetCondition(found, request, told)
      : `is for ${told ? found.hostnames.join(", ") : "other hosts"}`;
    return { rule: found.target.rule, why };
  }
  if (path.length > MAX_SPELT_LENGTH) return null;
  const spelt = alikeInLength(order, path, told ? MAX_SPELT : MAX_SPELT_FOR_CALLER);
  const like = nearest(
    path,
    spelt.map((entry) => entry.path.value),
  );
  const alike = like === "" ? undefined : spelt.find((entry) => entry.path.value === like);
  return alike === undefined ? null : { rule: alike.target.rule, why: "" };
}

/** Entries whose path may be a misspelling of `path`: it costs microseconds to compare each. */
function alikeInLength({ entries }: RouteOrder, path: string, most: number): Entry[] {
  const found: Entry[] = [];
  const near = Math.max(1, Math.floor(path.length / 3));
  for (let i = 0; i < entries.length && i < MAX_LOOKED_AT && found.length < most; i++) {
    const { kind, value } = entries[i].path;
    if (kind !== "exact" && kind !== "prefix") continue;
    if (Math.abs(value.length - path.length) <= near && value[1] === path[1]) found.push(entries[i]);
  }
  return found;
}

/** Of an entry with the request's path: "" when it takes the request. */
function reason(entry: Entry, request: CallRequest, host: string): string {
  return hostMatches(entry, host) ? unmetCondition(entry, request, true) : "host differs";
}

function hostMatches({ hostnames }: Entry, host: string): boolean {
  if (hostnames.length === 0) return true;
  return hostnames.some((name) => {
    const wanted = name.toLowerCase();
    return wanted === "*" || wanted === host || (wanted.startsWith("*.") && host.endsWith(wanted.slice(1)));
  });
}

function matchText({ method, path, headers, query, patterns }: Entry): string {
  const parts = [`${method === "" ? "" : `${method} `}${path.kind === "pattern" ? "~" : ""}${path.value}`];
  for (let i = 0; i < headers.length; i += 2) parts.push(`header ${headers[i]}`);
  for (let i = 0; i < query.length; i += 2) parts.push(`query ${query[i]}`);
  for (const wanted of patterns) parts.push(`${wanted.in} ${wanted.name}`);
  return parts.join(" ");
}

function ordinal(number: number): string {
  const tens = number % 100;
  const ending = tens >= 11 && tens <= 13 ? "th" : (["th", "st", "nd", "rd"][number % 10] ?? "th");
  return `${number}${ending}`;
}

const MAX_NAMED = 3;
const MAX_LOOKED_AT = 2_000;
const MAX_SPELT = 100;
const MAX_SPELT_FOR_CALLER = 16;
const MAX_SPELT_LENGTH = 128;
