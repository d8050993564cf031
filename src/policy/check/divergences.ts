import type { GRPCRoute, HTTPRoute, Resource } from "../resource/resources.ts";
import type { DataPlane } from "./enforcement.ts";

/**
 * Where a place enforces a field, but not to the letter as weft's gateway does. Found by `npm run conformance -- equality`, which runs the same systems and requests
 * through all places and fails on whatever is not listed here, and on what is listed and does not happen any more. What a place does not enforce at all is in
 * enforcement.ts.
 */
export interface Divergence {
  /** Stable: "envoy-reset-status". */
  readonly id: string;
  /** Who does otherwise. */
  readonly places: readonly DataPlane[];
  /** What such a place does, and what the others do. */
  readonly what: string;
  readonly reason: string;
  /** What of a call it shows in (conformance/equality/model.ts, Observation). */
  readonly shows: readonly string[];
  /** Where a resource asks for what differs, as paths into it; empty when it does not. Null: it is so whatever is written. */
  readonly appliesTo: ((resource: Resource) => readonly (readonly (string | number)[])[]) | null;
  /** It shows in what calls do together, and so in no example. */
  readonly together?: true;
}

const isRoute = (resource: Resource): resource is HTTPRoute | GRPCRoute =>
  resource.kind === "HTTPRoute" || resource.kind === "GRPCRoute";

export const DIVERGENCES: readonly Divergence[] = [
  {
    id: "envoy-changes-own-answers",
    places: ["envoy"],
    what: "Envoy makes a route's changes of response headers in its own answers (403, 429, 503), too; weft in those of backends alone.",
    reason: "Envoy's routes add headers to whatever is answered on them, and no setting tells the two apart",
    shows: ["headers"],
    appliesTo: (resource) => (isRoute(resource) ? filterPaths(resource.spec, "ResponseHeaderModifier") : []),
  },
  {
    id: "envoy-redirects-grpc",
    places: ["envoy"],
    what: "Envoy tells a gRPC caller UNKNOWN and where a redirect leads; weft UNAVAILABLE alone.",
    reason: "gRPC knows no redirects; give such routes methods or headers that gRPC calls do not have",
    shows: ["grpcStatus", "reason", "headers"],
    appliesTo: (resource) => (isRoute(resource) ? filterPaths(resource.spec, "RequestRedirect") : []),
  },
  {
    id: "envoy-no-backend-reason",
    places: ["envoy"],
    what: "Envoy gives gRPC callers no reason where all backends of a rule have weight 0; the status is the same.",
    reason: "a direct response has a status and a body, which are no use to gRPC callers",
    shows: ["reason"],
    appliesTo: (resource) => {
      if (!isRoute(resource)) return [];
      return resource.spec.rules.flatMap(({ backendRefs = [] }, i) =>
        backendRefs.length > 0 && backendRefs.every(({ weight }) => weight === 0) ? [["spec", "rules", i]] : [],
      );
    },
  },
  {
    id: "envoy-mirrors-to-endpoints",
    places: ["envoy"],
    what: "Envoy sends no copy of a request for which it finds no endpoint; weft copies before it chooses one.",
    reason: "Envoy's router makes copies when it has an upstream for the request",
    shows: ["mirrors"],
    appliesTo: (resource) => (isRoute(resource) ? filterPaths(resource.spec, "RequestMirror") : []),
  },
  {
    id: "envoy-resets-broken-grpc",
    places: ["envoy"],
    what: "Of a gRPC answer that breaks off Envoy resets the stream; weft ends it with trailers that say UNAVAILABLE and why.",
    reason: "Envoy's router passes a reset on once the head has gone; gRPC callers take both for a failure",
    shows: ["grpcStatus", "reason", "broken", "body"],
    appliesTo: null,
  },
  {
    id: "envoy-pushback",
    places: ["envoy"],
    what: "Where a server asks to be left alone (grpc-retry-pushback-ms: -1, a retry-after longer than retry.backoff.maxPushback or that is no time) Envoy tries again after its own back-off; weft gives up.",
    reason: "Envoy does not know grpc-retry-pushback-ms, and takes a retry-after that it cannot follow for none",
    shows: ["status", "grpcStatus", "reason", "broken", "origin", "headers", "body", "attempts"],
    appliesTo: null,
  },
  {
    id: "envoy-waits-past-deadline",
    places: ["envoy"],
    what: "Where a retry would come after the time-out of the call Envoy waits for the time-out and answers 504; weft gives the answer that it has at once.",
    reason: "Envoy's router does not compare its back-off with the time that is left",
    shows: ["status", "grpcStatus", "reason", "origin", "headers", "body"],
    appliesTo: null,
  },
  {
    id: "envoy-timeouts-as-resets",
    places: ["envoy"],
    what: "Where retry.on names one of `timeout` and `reset`, Envoy retries attempts that were lost and those over their time alike.",
    reason: "Envoy's retry policy has one word for both; name both, or neither",
    shows: ["status", "grpcStatus", "reason", "broken", "origin", "headers", "body", "attempts"],
    appliesTo: (resource) => {
      if (resource.kind !== "TrafficPolicy") return [];
      const on = resource.spec.retry?.on ?? [];
      return on.includes("timeout") !== (on.includes("reset") || on.includes("protocol"))
        ? [["spec", "retry", "on"]]
        : [];
    },
  },
  {
    id: "envoy-hedges-by-retries",
    places: ["envoy"],
    what: "Beside attempts that are over their time (hedge.onTryTimeout) Envoy makes another whenever one more is over its time or fails, as retry.attempts allows; weft one, and then what hedge.max and hedge.ratio allow.",
    reason: "Envoy knows one number for retries and hedges; give retry.attempts: 1 to have one",
    shows: ["status", "grpcStatus", "reason", "broken", "origin", "headers", "body", "attempts"],
    appliesTo: (resource) =>
      resource.kind === "TrafficPolicy" && resource.spec.hedge?.onTryTimeout === true
        ? [["spec", "hedge", "onTryTimeout"]]
        : [],
  },
  {
    id: "envoy-times-whole-answers",
    places: ["envoy"],
    what: "Where the time-out of a service, a gateway or the system is over Envoy cuts an HTTP answer that has begun; weft holds that time-out until the answer begins.",
    reason:
      "Envoy's route time-out runs to the answer's end; give routes with long answers (downloads, server-sent events) a timeout of their own, 0s for none",
    shows: ["status", "broken", "origin", "headers", "body"],
    appliesTo: null,
  },
  {
    id: "envoy-preflights-nowhere",
    places: ["envoy"],
    what: "Where all backends of a rule have weight 0 Envoy answers CORS preflights as any request: 503; weft as the rule's CORS filter says.",
    reason: "Envoy's CORS filter knows routes that lead to a cluster alone",
    shows: ["status", "reason", "headers"],
    appliesTo: (resource) => {
      if (resource.kind !== "HTTPRoute") return [];
      return resource.spec.rules.flatMap(({ backendRefs = [], filters = [] }, i) => {
        const nowhere = backendRefs.every(({ weight }) => weight === 0);
        return nowhere && filters.some(({ type }) => type === "CORS") ? [["spec", "rules", i]] : [];
      });
    },
  },
  {
    id: "envoy-forbids-anonymous",
    places: ["envoy"],
    what: "A caller without a token whom only a rule about users would let in gets 403 from Envoy; weft asks for a token: 401.",
    reason: "Envoy's RBAC has one answer; an Authentication that is not optional asks for a token everywhere",
    shows: ["status", "grpcStatus", "reason"],
    appliesTo: (resource) => {
      if (resource.kind !== "Authorization") return [];
      return (resource.spec.rules ?? []).flatMap((rule, i) =>
        rule.action === "allow" && USERS.some((field) => rule[field] !== undefined) ? [["spec", "rules", i]] : [],
      );
    },
  },
  {
    id: "envoy-retry-after",
    places: ["envoy"],
    what: "Envoy tells callers over a limit the same retry-after whenever they come; weft how long it is until there is room.",
    reason: "Envoy's local limits add fixed headers",
    shows: ["headers"],
    appliesTo: ({ kind }) => (kind === "RateLimit" ? [["spec", "requests"]] : []),
  },
  {
    id: "envoy-methods-of-others",
    places: ["envoy"],
    what: "gRPC that an HTTPRoute of every path takes to a service without the method's contract is neither retried nor timed as the contract says.",
    reason:
      'Envoy knows methods by routes of their own, and a route of "/" would become as many as the system has methods; use a GRPCRoute',
    shows: ["status", "grpcStatus", "reason", "broken", "origin", "headers", "body", "attempts"],
    appliesTo: (resource) => {
      if (resource.kind !== "HTTPRoute") return [];
      return resource.spec.rules.flatMap(({ matches = [{}] }, i) =>
        matches.some(({ path }) => (path?.type ?? "PathPrefix") === "PathPrefix" && /^\/*$/.test(path?.value ?? "/"))
          ? [["spec", "rules", i]]
          : [],
      );
    },
  },
  {
    id: "envoy-retries-or-budget",
    places: ["envoy"],
    what: "Where limits.maxRetries is set, Envoy bounds retries by it alone; weft by the retry budget, too.",
    reason:
      "Envoy's circuit breakers take a number of retries or a budget, not both; leave maxRetries out to have the budget",
    shows: ["attempts"],
    appliesTo: (resource) => limitPath(resource, "maxRetries"),
    together: true,
  },
  {
    id: "envoy-pending-of-service",
    places: ["envoy"],
    what: "limits.maxPending bounds at Envoy the calls that wait for connections to the service; at weft those that wait for one endpoint.",
    reason: "Envoy's per_host_thresholds bound connections alone; give as many times more as the service has endpoints",
    shows: ["status"],
    appliesTo: (resource) => limitPath(resource, "maxPending"),
    together: true,
  },
  {
    id: "fallback-as-message",
    places: ["client"],
    what: "A typed client makes a message of a fallback's body; gateways and sidecars give gRPC callers the failure.",
    reason: "who passes gRPC through as bytes knows no messages; give fallback.grpc, which is the same everywhere",
    shows: ["grpcStatus", "reason", "origin", "headers", "body"],
    appliesTo: (resource) => {
      if (resource.kind !== "TrafficPolicy" || resource.spec.fallback === undefined) return [];
      const { grpc, service, stale, body, status } = resource.spec.fallback;
      const alone = (service === undefined && stale === undefined) || body !== undefined || status !== undefined;
      return grpc === undefined && alone ? [["spec", "fallback"]] : [];
    },
  },
];

/** What a rule says of end users. */
const USERS = ["subjects", "issuers", "claims", "authenticatedBy"] as const;

type Path = readonly (string | number)[];

function limitPath(resource: Resource, name: "maxRetries" | "maxPending"): Path[] {
  return resource.kind === "TrafficPolicy" && resource.spec.limits?.[name] !== undefined
    ? [["spec", "limits", name]]
    : [];
}

/** Where a route's rules, or their backends, have a filter of a type. */
function filterPaths(value: unknown, type: string, path: Path = ["spec"]): Path[] {
  if (typeof value !== "object" || value === null) return [];
  if ((value as { type?: unknown }).type === type) return [path];
  if (Array.isArray(value)) return value.flatMap((one, i) => filterPaths(one, type, [...path, i]));
  return Object.entries(value).flatMap(([name, one]) => filterPaths(one, type, [...path, name]));
}
