import { FIELD_NAME, POSITIVE } from "../resource/common-shapes.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import { bool, type Check, described, isObject, list, number, object, oneOf, text } from "../resource/shape.ts";
import { type BalancerSettings, balancerSettings } from "./balancer-settings.ts";
import type { BalancerKind, BalancerSpec } from "./balancer-spec.ts";
import { isPrime } from "./maglev.ts";

export const BALANCER_KINDS: readonly BalancerKind[] = [
  "p2c",
  "least-request",
  "round-robin",
  "weighted-round-robin",
  "random",
  "weighted-random",
  "prequal",
  "by-load",
  "ring-hash",
  "maglev",
];

const size = number(251, 5_000_011, true);
const tableSize = described(
  (value, path, report) => {
    size(value, path, report);
    if (typeof value !== "number" || value < 251 || value > 5_000_011 || isPrime(value)) return;
    let next = value;
    while (!isPrime(next)) next++;
    report(path, `must be a prime number, is ${value}; the next one is ${next}`);
  },
  () => size.schema ?? {},
);

const hashKey = object(
  {
    by: oneOf(["header", "cookie", "query", "address", "identity", "message"]),
    name: text("a name", /^[^\s;=,]+$/, 256),
    ttl: POSITIVE,
    path: text("a path that begins with /", /^\/[^\s;]*$/, 256),
    terminal: bool,
  },
  ["by"],
  (checked, at, tell) => {
    const { by, name, ttl, path: cookiePath } = checked as { by: string; name?: string; ttl?: string; path?: string };
    const named = by !== "address" && by !== "identity";
    if (named && name === undefined)
      tell(at, `"name" is missing: which ${by === "message" ? "field of the message" : by}?`);
    if (!named && name !== undefined) tell([...at, "name"], `is not for ${by}; leave it out`);
    if (by === "header" && name !== undefined) FIELD_NAME(name, [...at, "name"], tell);
    if (by === "cookie" && name !== undefined && !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name))
      tell([...at, "name"], "must be the name of a cookie");
    if (by === "message" && name !== undefined && !/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/.test(name))
      tell([...at, "name"], 'must be the path of a field such as "user.id"');
    if (by !== "cookie" && ttl !== undefined) tell([...at, "ttl"], "is for cookies only");
    if (by !== "cookie" && cookiePath !== undefined) tell([...at, "path"], "is for cookies only");
    if (by === "cookie" && cookiePath !== undefined && ttl === undefined)
      tell([...at, "path"], 'needs "ttl": without it no cookie is made');
  },
);

const METADATA_KEY = text("the name of an entry of endpoints' metadata", /^.+$/, 128);
/** Any names, each with a value that passes. */
const entries = (of: Check, max = 8): Check =>
  described(
    (value, path, report) => {
      if (!isObject(value)) return report(path, "must be an object of names and values");
      const all = Object.entries(value);
      if (all.length === 0) report(path, "must name at least one entry of the endpoints' metadata");
      if (all.length > max) report(path, `has ${all.length} entries; at most ${max} are allowed`);
      for (const [name, entry] of all) of(entry, [...path, name], report);
    },
    () => ({ type: "object", additionalProperties: of.schema ?? {} }),
  );
const byHeader = object({ header: FIELD_NAME }, ["header"]);
const fixedValue = text("a value, or { header: NAME }");
const subsetValue = described(
  (value, path, report) => (isObject(value) ? byHeader : fixedValue)(value, path, report),
  () => ({ anyOf: [byHeader.schema ?? {}, fixedValue.schema ?? {}] }),
);

const subset = object(
  {
    match: entries(subsetValue),
    fallback: oneOf(["none", "any", "default"]),
    default: entries(text("a value")),
  },
  ["match"],
  (value, path, report) => {
    const { fallback, default: byDefault } = value as { fallback?: string; default?: unknown };
    if (fallback === "default" && byDefault === undefined) report(path, '"default" is missing: which subset is it?');
    if (fallback !== "default" && byDefault !== undefined)
      report([...path, "default"], 'has no effect without fallback "default"');
  },
);

/** Fields that only some kinds look at. */
const OF_KINDS: readonly [field: string, kinds: readonly BalancerKind[]][] = [
  ["decay", ["p2c", "prequal"]],
  ["leastRequest", ["least-request"]],
  ["prequal", ["prequal"]],
  ["load", ["by-load"]],
  ["ring", ["ring-hash"]],
  ["tableSize", ["maglev"]],
  ["boundedLoad", ["ring-hash", "maglev"]],
  ["hash", ["ring-hash", "maglev"]],
];

/** Every field counts for itself, those of its parts too. */
export const balancerField: PolicyField<BalancerSpec, BalancerSettings> = {
  check: object(
    {
      kind: oneOf(BALANCER_KINDS),
      decay: POSITIVE,
      leastRequest: object({
        choices: number(2, 16, true),
        scan: oneOf(["sample", "full"]),
        activeRequestBias: number(0, 10, false),
      }),
      prequal: object({
        rifQuantile: number(0, 1, false),
        poolSize: number(2, 64, true),
        probesPerCall: number(1, 16, true),
        maxAge: POSITIVE,
      }),
      load: object({
        utilization: oneOf(["auto", "application", "cpu", "memory", "event-loop"]),
        blackout: POSITIVE,
        expiration: POSITIVE,
        updatePeriod: POSITIVE,
        errorPenalty: number(0, 100, false),
      }),
      ring: object(
        { minSize: number(1, 8_388_608, true), maxSize: number(1, 8_388_608, true) },
        [],
        (value, path, report) => {
          const { minSize = 1_024, maxSize = 8_388_608 } = value as { minSize?: number; maxSize?: number };
          if (minSize > maxSize) report(path, `minSize ${minSize} is larger than maxSize ${maxSize}`);
        },
      ),
      tableSize,
      boundedLoad: (value, path, report) => {
        if (value !== 0) number(1.01, 100, false)(value, path, report);
      },
      hash: list(hashKey, 1, 8),
      slowStart: object(
        { window: POSITIVE, aggression: number(0.01, 100, false), minWeight: number(0.001, 1, false) },
        ["window"],
      ),
      subset,
      subsetSize: number(0, 100_000, true),
      zones: object(
        {
          routing: oneOf(["aware", "failover", "off"]),
          minEndpoints: number(1, 100_000, true),
          order: list(text("a zone's name", /^.+$/, 64), 0, 16),
        },
        [],
        (value, path, report) => {
          const { routing, order, minEndpoints } = value as Record<string, unknown>;
          if (order !== undefined && routing !== undefined && routing !== "failover")
            report([...path, "order"], 'is for routing "failover" only');
          if (minEndpoints !== undefined && routing !== undefined && routing !== "aware")
            report([...path, "minEndpoints"], 'is for routing "aware" only');
        },
      ),
      priorityFrom: METADATA_KEY,
      overprovisioning: number(1, 10, false),
      panicThreshold: number(0, 1, false),
    },
    [],
    (value, path, report) => {
      const spec = value as BalancerSpec & Record<string, unknown>;
      const { kind } = spec;
      if (kind === undefined) return; // a less specific policy's may hold
      for (const [field, kinds] of OF_KINDS) {
        if (spec[field] !== undefined && !kinds.includes(kind))
          report([...path, field], `is for ${kinds.join(" and ")}; ${kind} does not look at it`);
      }
      const hashes = kind === "ring-hash" || kind === "maglev";
      if (hashes && spec.hash === undefined)
        report(
          path,
          `"hash" is missing: what are calls' places made of? For example hash: [{ by: "header", name: "x-user" }]`,
        );
      if (spec.slowStart !== undefined && (hashes || kind === "random"))
        report([...path, "slowStart"], `needs a kind that goes by weights; ${kind} does not`);
    },
  ),
  over(under, spec) {
    const { leastRequest, prequal, load, ring, slowStart, zones, ...rest } = defined(spec);
    const parts = { leastRequest, prequal, load, ring, slowStart, zones };
    const merged: Record<string, unknown> = { ...under, ...rest };
    for (const [name, part] of Object.entries(parts)) {
      if (part !== undefined) merged[name] = { ...(merged[name] as object | undefined), ...defined(part) };
    }
    return merged as BalancerSpec;
  },
  compile: balancerSettings,
};

/** Whether calls whose message nobody reads have no key at all. */
export function hashesByMessageAlone(spec: BalancerSpec | undefined): boolean {
  const hash = spec?.hash ?? [];
  return hash.length > 0 && hash.every(({ by }) => by === "message");
}
