import { rateLimitSpec } from "../limit/rate-limit-shape.ts";
import { MAX_RETRIES } from "../resilience/retry-field.ts";
import { trafficPolicySpec } from "../snapshot/policy-fields.ts";
import {
  BACKEND_NAME,
  FIELD_NAME,
  FIELD_VALUE,
  HOSTNAME,
  METHODS,
  NAME,
  PATH,
  POSITIVE,
  SWITCHABLE,
} from "./common-shapes.ts";
import { GATEWAY_API, type ResourceKind, WEFT_API } from "./resources.ts";
import { anything, type Check, list, number, object, oneOf, text, unsupported } from "./shape.ts";

const metadata = object(
  {
    name: NAME,
    namespace: text(),
    labels: anything,
    annotations: anything,
    // What a cluster's API server adds to an object's own fields.
    uid: anything,
    resourceVersion: anything,
    generation: anything,
    creationTimestamp: anything,
    managedFields: anything,
    ownerReferences: anything,
    finalizers: anything,
  },
  ["name"],
);

/** Fields without effect here are told as warnings (validate.ts). */
const parentRef = object(
  {
    group: text(),
    kind: oneOf(["Gateway", "Service"]),
    name: NAME,
    namespace: text(),
    sectionName: text(),
    port: number(1, 65_535, true),
  },
  ["name"],
);

const regularExpression = 'is not supported yet; use "Exact" or "PathPrefix"';
function matchType(types: readonly string[]): Check {
  const known = oneOf(types);
  return (value, path, report) => {
    if (value === "RegularExpression")
      report(
        path,
        types.includes("PathPrefix")
          ? `RegularExpression ${regularExpression}`
          : `RegularExpression is not supported yet; use "Exact"`,
      );
    else known(value, path, report);
  };
}

const valueMatch = (name: Check): Check =>
  object({ type: matchType(["Exact"]), name, value: text() }, ["name", "value"]);

const backendFields = {
  group: text(),
  kind: oneOf(["Service"]),
  name: BACKEND_NAME,
  namespace: unsupported("a system has one namespace; leave it out"),
  port: number(1, 65_535, true),
  weight: number(0, 1_000_000, true),
  filters: unsupported("put them on the rule"),
};
const backendRef = object(backendFields, ["name"]);

const headerModifier = object({
  set: list(object({ name: FIELD_NAME, value: FIELD_VALUE }, ["name", "value"])),
  add: list(object({ name: FIELD_NAME, value: FIELD_VALUE }, ["name", "value"])),
  remove: list(FIELD_NAME),
});
const pathModifier = object(
  { type: oneOf(["ReplaceFullPath", "ReplacePrefixMatch"]), replaceFullPath: PATH, replacePrefixMatch: text() },
  ["type"],
  (value, path, report) => {
    const { type } = value as { type: string };
    const needed = type === "ReplaceFullPath" ? "replaceFullPath" : "replacePrefixMatch";
    if ((value as Record<string, unknown>)[needed] === undefined) report(path, `"${needed}" is missing`);
  },
);

const FILTERS: Readonly<Record<string, readonly [field: string, check: Check]>> = {
  RequestHeaderModifier: ["requestHeaderModifier", headerModifier],
  ResponseHeaderModifier: ["responseHeaderModifier", headerModifier],
  URLRewrite: ["urlRewrite", object({ hostname: HOSTNAME, path: pathModifier })],
  RequestRedirect: [
    "requestRedirect",
    object({
      scheme: oneOf(["http", "https"]),
      hostname: HOSTNAME,
      path: pathModifier,
      port: number(1, 65_535, true),
      statusCode: (value, path, report) => {
        if (![301, 302, 303, 307, 308].includes(value as number)) report(path, "must be 301, 302, 303, 307 or 308");
      },
    }),
  ],
  RequestMirror: [
    "requestMirror",
    object({ backendRef, percent: number(0, 100, false), fraction: unsupported('use "percent"') }, ["backendRef"]),
  ],
};
const filter: Check = (value, path, report) => {
  const type = (value as { type?: unknown } | null)?.type;
  const known = typeof type === "string" && Object.hasOwn(FILTERS, type) ? FILTERS[type] : undefined;
  if (known === undefined) oneOf(Object.keys(FILTERS))(type, [...path, "type"], report);
  else object({ type: anything, [known[0]]: known[1] }, [known[0]])(value, path, report);
};

const timeouts = object({ request: SWITCHABLE, backendRequest: SWITCHABLE });
const routeRetry = object({
  codes: list(number(400, 599, true), 0, 64),
  attempts: number(0, MAX_RETRIES, true),
  backoff: POSITIVE,
});

const sessionPersistence = unsupported("leave it out");
const needsBackend: Check = (value, path, report) => {
  const { backendRefs, filters } = value as { backendRefs?: unknown[]; filters?: { type: string }[] };
  const redirects = filters?.some(({ type }) => type === "RequestRedirect") ?? false;
  if (redirects && (backendRefs?.length ?? 0) > 0) report(path, "a rule that redirects has no backendRefs");
  if (!redirects && (backendRefs?.length ?? 0) === 0) report(path, '"backendRefs" is missing: where do its calls go?');
  if (redirects && filters?.some(({ type }) => type === "URLRewrite"))
    report(path, "URLRewrite and RequestRedirect exclude each other");
};

const httpRule = object(
  {
    name: NAME,
    matches: list(
      object({
        path: object({ type: matchType(["Exact", "PathPrefix"]), value: PATH }),
        method: oneOf(METHODS),
        headers: list(valueMatch(FIELD_NAME), 0, 16),
        queryParams: list(valueMatch(text()), 0, 16),
      }),
      0,
      64,
    ),
    filters: list(filter, 0, 16),
    backendRefs: list(backendRef, 0, 16),
    timeouts,
    retry: routeRetry,
    sessionPersistence,
  },
  [],
  (value, path, report) => {
    needsBackend(value, path, report);
    prefixNeedsPrefix(value, path, report);
  },
);

/** ReplacePrefixMatch replaces what a PathPrefix matched: with an Exact match there is nothing to replace. */
const prefixNeedsPrefix: Check = (value, path, report) => {
  const { matches, filters } = value as {
    matches?: { path?: { type?: string } }[];
    filters?: Record<string, unknown>[];
  };
  const replaces = filters?.some((entry) => JSON.stringify(entry).includes('"ReplacePrefixMatch"')) ?? false;
  if (replaces && matches?.some((match) => match.path?.type === "Exact")) {
    report([...path, "filters"], "ReplacePrefixMatch needs PathPrefix matches; use ReplaceFullPath");
  }
};

const grpcRule = object(
  {
    name: NAME,
    matches: list(
      object({
        method: object(
          {
            type: matchType(["Exact"]),
            service: text("a gRPC service's full name", /^[A-Za-z_][\w.]*$/),
            method: text("a gRPC method's name", /^[A-Za-z_]\w*$/),
          },
          [],
          (value, path, report) => {
            const { service, method } = value as { service?: string; method?: string };
            if (service === undefined && method !== undefined) report(path, 'a method needs its "service"');
          },
        ),
        headers: list(valueMatch(FIELD_NAME), 0, 16),
      }),
      0,
      64,
    ),
    filters: list(filter, 0, 16),
    backendRefs: list(backendRef, 0, 16),
    sessionPersistence,
  },
  [],
  needsBackend,
);

const route = (rule: Check): Check =>
  object({ parentRefs: list(parentRef, 0, 32), hostnames: list(HOSTNAME, 0, 64), rules: list(rule, 1, 64) }, ["rules"]);

function resource(api: string, spec: Check): Check {
  return object({ apiVersion: oneOf([api]), kind: anything, metadata, spec, status: anything }, [
    "apiVersion",
    "kind",
    "metadata",
    "spec",
  ]);
}

/** How each kind must look. */
export const RESOURCE_SHAPES: Readonly<Record<ResourceKind, Check>> = {
  HTTPRoute: resource(GATEWAY_API, route(httpRule)),
  GRPCRoute: resource(GATEWAY_API, route(grpcRule)),
  TrafficPolicy: resource(WEFT_API, trafficPolicySpec),
  RateLimit: resource(WEFT_API, rateLimitSpec),
};
