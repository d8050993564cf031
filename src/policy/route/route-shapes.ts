import { MAX_RETRIES } from "../resilience/retry-field.ts";
import {
  BACKEND_NAME,
  FIELD_NAME,
  HOSTNAME,
  METHODS,
  NAME,
  PATH,
  POSITIVE,
  SWITCHABLE,
} from "../resource/common-shapes.ts";
import { durationMs } from "../resource/duration.ts";
import { type Check, list, number, object, oneOf, shown, text } from "../resource/shape.ts";
import { backendFilter, grpcFilter, httpFilter } from "./filter-shapes.ts";
import { MAX_PATTERN, patternProblem } from "./pattern.ts";
import { sessionPersistence } from "./session-shape.ts";

/* HTTPRoute.spec and GRPCRoute.spec. Fields without effect here are told as warnings (resource/validate.ts). */

export const parentRef: Check = object(
  {
    group: text(),
    kind: oneOf(["Gateway", "ListenerSet", "Service"]),
    name: NAME,
    namespace: text(),
    sectionName: text(),
    port: number(1, 65_535, true),
  },
  ["name"],
);

/** A regular expression, where the field beside it says so. */
function pattern(value: unknown, path: readonly (string | number)[], report: Parameters<Check>[2]): void {
  const problem = patternProblem(value as string);
  if (problem !== "") report(path, `${shown(value)} is no regular expression: ${problem}`);
}

const pathMatch = object(
  { type: oneOf(["Exact", "PathPrefix", "RegularExpression"]), value: text("a string", undefined, MAX_PATTERN) },
  [],
  (value, path, report) => {
    const { type, value: written } = value as { type?: string; value?: string };
    if (written === undefined) return;
    (type === "RegularExpression" ? pattern : PATH)(written, [...path, "value"], report);
  },
);

const valueMatch = (name: Check): Check =>
  object(
    { type: oneOf(["Exact", "RegularExpression"]), name, value: text("a string", undefined, 4_096) },
    ["name", "value"],
    (value, path, report) => {
      const { type, value: written } = value as { type?: string; value: string };
      if (type === "RegularExpression") pattern(written, [...path, "value"], report);
    },
  );

const backendRef = object(
  {
    group: text(),
    kind: oneOf(["Service"]),
    name: BACKEND_NAME,
    namespace: text(),
    port: number(1, 65_535, true),
    weight: number(0, 1_000_000, true),
    filters: list(backendFilter, 0, 16),
  },
  ["name"],
);

const timeouts = object({ request: SWITCHABLE, backendRequest: SWITCHABLE }, [], (value, path, report) => {
  const { request = "0s", backendRequest = "0s" } = value as { request?: string; backendRequest?: string };
  const whole = durationMs(request);
  if (whole > 0 && durationMs(backendRequest) > whole)
    report([...path, "backendRequest"], `is longer than "request", ${request}, which it is part of`);
});

const retry = object({
  codes: list(number(400, 599, true), 0, 64),
  attempts: number(0, MAX_RETRIES, true),
  backoff: POSITIVE,
});

const whole: Check = (value, path, report) => {
  const { backendRefs, filters } = value as { backendRefs?: unknown[]; filters?: { type: string }[] };
  const has = (type: string): boolean => filters?.some((filter) => filter.type === type) ?? false;
  const redirects = has("RequestRedirect");
  if (redirects && (backendRefs?.length ?? 0) > 0) report(path, "a rule that redirects has no backendRefs");
  if (!redirects && (backendRefs?.length ?? 0) === 0) report(path, '"backendRefs" is missing: where do its calls go?');
  if (redirects && has("URLRewrite")) report(path, "URLRewrite and RequestRedirect exclude each other");
  for (const type of ["CORS", "URLRewrite", "RequestRedirect"]) {
    const times = filters?.filter((filter) => filter.type === type).length ?? 0;
    if (times > 1) report([...path, "filters"], `has ${times} filters ${type}; one is allowed`);
  }
};

/** ReplacePrefixMatch replaces what a PathPrefix matched: with another match there is nothing to replace. */
const prefixNeedsPrefix: Check = (value, path, report) => {
  const { matches, filters } = value as {
    matches?: { path?: { type?: string } }[];
    filters?: Record<string, unknown>[];
  };
  const replaces = filters?.some((entry) => JSON.stringify(entry).includes('"ReplacePrefixMatch"')) ?? false;
  if (replaces && matches?.some((match) => (match.path?.type ?? "PathPrefix") !== "PathPrefix")) {
    report([...path, "filters"], "ReplacePrefixMatch needs PathPrefix matches; use ReplaceFullPath");
  }
};

const httpRule = object(
  {
    name: NAME,
    matches: list(
      object({
        path: pathMatch,
        method: oneOf(METHODS),
        headers: list(valueMatch(FIELD_NAME), 0, 16),
        queryParams: list(valueMatch(text()), 0, 16),
      }),
      0,
      64,
    ),
    filters: list(httpFilter(backendRef), 0, 16),
    backendRefs: list(backendRef, 0, 16),
    timeouts,
    retry,
    sessionPersistence,
  },
  [],
  (value, path, report) => {
    whole(value, path, report);
    prefixNeedsPrefix(value, path, report);
  },
);

const SERVICE = /^\.?[A-Za-z_][\w.]*$/;
const METHOD = /^[A-Za-z_]\w*$/;

const grpcMethod = object(
  { type: oneOf(["Exact", "RegularExpression"]), service: text("a string"), method: text("a string") },
  [],
  (value, path, report) => {
    const { type, service, method } = value as { type?: string; service?: string; method?: string };
    if (!service && !method) return report(path, 'needs a "service", a "method", or both');
    for (const [name, written] of Object.entries({ service, method })) {
      if (!written) continue;
      const at = [...path, name];
      if (type === "RegularExpression") pattern(written, at, report);
      else if (!(name === "service" ? SERVICE : METHOD).test(written))
        report(
          at,
          `must be ${name === "service" ? "a gRPC service's full name" : "a gRPC method's name"}, is "${written}"`,
        );
    }
  },
);

const grpcRule = object(
  {
    name: NAME,
    matches: list(object({ method: grpcMethod, headers: list(valueMatch(FIELD_NAME), 0, 16) }), 0, 64),
    filters: list(grpcFilter(backendRef), 0, 16),
    backendRefs: list(backendRef, 0, 16),
    sessionPersistence,
  },
  [],
  whole,
);

const route = (rule: Check): Check =>
  object(
    { parentRefs: list(parentRef, 0, 32), hostnames: list(HOSTNAME, 0, 64), rules: list(rule, 1, 64) },
    ["rules"],
    (value, path, report) => {
      const names = (value as { rules: { name?: string }[] }).rules.map(({ name }) => name);
      names.forEach((name, i) => {
        if (name !== undefined && names.indexOf(name) < i)
          report([...path, "rules", i, "name"], `there are two rules called ${name}`);
      });
    },
  );

export const httpRouteSpec = route(httpRule);
export const grpcRouteSpec = route(grpcRule);
