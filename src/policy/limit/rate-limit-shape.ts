import { FIELD_NAME, POSITIVE, targetRefs } from "../resource/common-shapes.ts";
import {
  bool,
  type Check,
  described,
  type FieldPath,
  list,
  number,
  object,
  oneOf,
  type Report,
  text,
} from "../resource/shape.ts";
import type { HotKeySpec, RateLimitKey, RateLimitKeyKind, RateLimitSpec } from "./rate-limit-spec.ts";

const KINDS: readonly RateLimitKeyKind[] = [
  "all",
  "address",
  "identity",
  "subject",
  "claim",
  "header",
  "cookie",
  "query",
  "path",
  "field",
];
/** What a kind of key needs beside `by`. */
const NEEDS: Partial<Record<RateLimitKeyKind, keyof RateLimitKey>> = {
  claim: "claim",
  header: "header",
  cookie: "cookie",
  query: "query",
  field: "field",
};
/** Parts of a key. */
const MAX_KEYS = 4;
const COUNT = number(1, 1_000_000_000, true);
const COST = number(1, 1_000_000, true);
const DOTTED = text('a name, or several with dots between: "tenant.id"', /^[\w-]+(\.[\w-]+)*$/, 256);

const oneKey = object(
  {
    by: oneOf(KINDS),
    header: FIELD_NAME,
    cookie: text("the name of a cookie", /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 256),
    query: text("the name of a query parameter", /^[^&=#\s]+$/, 256),
    claim: DOTTED,
    field: DOTTED,
    segment: number(1, 32, true),
    ipv4Prefix: number(0, 32, true),
    ipv6Prefix: number(0, 128, true),
  },
  ["by"],
  (value, path, report) => {
    const key = value as RateLimitKey;
    const needed = NEEDS[key.by];
    if (needed !== undefined && key[needed] === undefined) report(path, `"${needed}" is missing: which one?`);
    for (const field of Object.keys(key) as (keyof RateLimitKey)[]) {
      const of = FIELD_OF[field];
      if (of !== undefined && of !== key.by) report([...path, field], `is for "by: ${of}" only`);
    }
  },
);
const FIELD_OF: Partial<Record<keyof RateLimitKey, RateLimitKeyKind>> = {
  header: "header",
  cookie: "cookie",
  query: "query",
  claim: "claim",
  field: "field",
  segment: "path",
  ipv4Prefix: "address",
  ipv6Prefix: "address",
};

const key = oneOrList(oneKey);

const costs = object({
  fixed: COST,
  max: COST,
  header: FIELD_NAME,
  methods: described(methodCosts, () => ({ type: "object", additionalProperties: COST.schema ?? true })),
});
const cost = described(
  (value, path, report) => (typeof value === "number" ? COST : costs)(value, path, report),
  () => ({ anyOf: [COST.schema ?? true, costs.schema ?? true] }),
);

function methodCosts(value: unknown, path: FieldPath, report: Report): void {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return report(path, 'must be an object: "package.Service/Method": cost');
  const entries = Object.entries(value);
  if (entries.length > 1_024) return report(path, `has ${entries.length} methods; at most 1024 are allowed`);
  for (const [method, of] of entries) {
    if (!/^[A-Za-z_][\w.]*\/[A-Za-z_]\w*$/.test(method))
      report([...path, method], 'must be a method: "package.Service/Method"');
    COST(of, [...path, method], report);
  }
}

const exceptionValue = oneOrList(text("a value of the key", /(?:)/, 256));

/** One, or as many as a key may have parts. */
function oneOrList(one: Check): Check {
  const several = list(one, 1, MAX_KEYS);
  return described(
    (value, path, report) => (Array.isArray(value) ? several : one)(value, path, report),
    () => ({ anyOf: [one.schema ?? true, several.schema ?? true] }),
  );
}

/** RateLimit.spec */
export const rateLimitSpec = object(
  {
    targetRefs,
    requests: COUNT,
    per: POSITIVE,
    algorithm: oneOf(["token-bucket", "gcra", "sliding-window", "concurrency"]),
    burst: COUNT,
    maxWait: POSITIVE,
    maxQueue: number(0, 100_000, true),
    key,
    maxKeys: number(1, 10_000_000, true),
    scope: oneOf(["process", "system"]),
    enforcedBy: oneOf(["gateway", "server", "both", "client"]),
    mode: oneOf(["enforce", "shadow"]),
    headers: described(
      (value, path, report) => {
        if (value !== "legacy") bool(value, path, (at) => report(at, 'must be true, false or "legacy"'));
      },
      () => ({ enum: [true, false, "legacy"] }),
    ),
    cost,
    exceptions: list(object({ value: exceptionValue, requests: COUNT, burst: COUNT }, ["value", "requests"]), 0, 1_024),
    hot: object(
      {
        share: number(0.001, 1, false),
        requests: COUNT,
        burst: COUNT,
        window: POSITIVE,
        minCalls: number(1, 1_000_000, true),
      },
      ["share", "requests"],
    ),
  },
  ["requests"],
  (value, path, report) => fitsTogether(value as RateLimitSpec, (field, message) => report([...path, field], message)),
);

/** What a limit of this kind cannot act on is refused. */
function fitsTogether(spec: RateLimitSpec, report: (field: string, message: string) => void): void {
  const { algorithm = "token-bucket" } = spec;
  const refuse = (field: keyof RateLimitSpec, message: string): void => {
    if (spec[field] !== undefined) report(field, message);
  };
  if (algorithm === "concurrency") {
    const why = 'has no meaning with "concurrency", which limits calls in flight; use another algorithm for a rate';
    for (const field of ["per", "burst", "cost", "hot", "headers", "exceptions"] as const) refuse(field, why);
    if (spec.scope === "system")
      report("scope", 'calls in flight are counted by each process; use "process", or a rate for the whole system');
    if ((spec.maxQueue ?? 0) > 0 && spec.maxWait === undefined)
      report("maxQueue", 'needs "maxWait": how long may a call wait?');
    if (spec.maxWait !== undefined && !spec.maxQueue) report("maxWait", 'needs "maxQueue": how many calls may wait?');
    return;
  }
  refuse("maxQueue", 'is for "concurrency" only');
  if (algorithm === "sliding-window")
    refuse("burst", "a sliding window has no burst: `requests` is what passes at once");
  if (algorithm !== "gcra") refuse("maxWait", 'is for "gcra" and "concurrency" only');
  else if (spec.maxWait !== undefined && spec.scope === "system")
    report("maxWait", 'calls wait within their process only; use "scope: process", or no "maxWait"');
  const whole = spec.key === undefined || (!Array.isArray(spec.key) && (spec.key as RateLimitKey).by === "all");
  if (whole) {
    refuse("hot", 'needs a "key" that tells calls apart');
    refuse("exceptions", 'need a "key" whose values they name');
  }
  const parts = Array.isArray(spec.key) ? spec.key.length : 1;
  for (const { value } of spec.exceptions ?? []) {
    const given = Array.isArray(value) ? value.length : 1;
    if (given !== parts)
      report("exceptions", `need ${parts} value${parts === 1 ? "" : "s"} each, as many as the key has`);
  }
  if (spec.hot !== undefined) hotFits(spec.hot, spec.requests, report);
}

function hotFits({ requests }: HotKeySpec, usual: number, report: (field: string, message: string) => void): void {
  if (requests >= usual) report("hot", `its ${requests} requests are no tighter than the limit's ${usual}`);
}
