import { didYouMean } from "../../core/suggest.ts";
import type { Resource, SessionRoute, TrafficPolicySpec } from "../resource/resources.ts";
import { parseBackend } from "../route/rule.ts";
import { isSessionRoute } from "../route/session-route.ts";
import type { CheckedSystem } from "./checked-system.ts";
import { type Finding, finding } from "./finding.ts";

/** Sessions (TCP, UDP, TLS): routes to listeners that are not there, and what is written for them that looks at HTTP. */
export function sessionChecks(system: CheckedSystem): Finding[] {
  const { resources } = system;
  const routes = resources.filter(isSessionRoute);
  const backends = new Set(
    routes.flatMap(({ spec }) => spec.rules[0].backendRefs.map((ref) => parseBackend(ref).service)),
  );
  return [
    ...routes.flatMap((route) => missingListeners(route, system)),
    ...resources.flatMap((resource) => [...requestRules(resource, backends, system), ...idleFields(resource, system)]),
  ];
}

function missingListeners(route: SessionRoute, { listeners, placeOf }: CheckedSystem): Finding[] {
  if (listeners === null) return [];
  const own = listeners.filter(({ protocol }) => route.kind.startsWith(protocol));
  const names = own.map(({ name }) => name);
  const parents = route.spec.parentRefs ?? [];
  const tell = (path: (string | number)[], which: string, near = ""): Finding => {
    const has = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
    const message = `the gateway has no listener ${which}for ${route.kind.slice(0, 3)}; ${has}: nothing comes this way`;
    return finding("doubtful-resource", placeOf(route, path), message, near.replace(/^; /, ""));
  };
  if (parents.length === 0) return own.length === 0 ? [tell(["spec"], "")] : [];
  return parents.flatMap(({ kind, sectionName, port }, i) => {
    if (kind === "Service") return [];
    const path = ["spec", "parentRefs", i];
    if (sectionName !== undefined && !names.includes(sectionName))
      return [tell([...path, "sectionName"], `${sectionName} `, didYouMean(sectionName, names))];
    if (port !== undefined && !own.some((listener) => listener.port === port || listener.port === 0))
      return [tell([...path, "port"], `at port ${port} `)];
    return own.length === 0 ? [tell(path, "")] : [];
  });
}

/** Conditions of an Authorization that nobody can judge of a session. */
function requestRules(resource: Resource, backends: ReadonlySet<string>, { placeOf }: CheckedSystem): Finding[] {
  if (resource.kind !== "Authorization") return [];
  const targets = resource.spec.targetRefs ?? [];
  const guarded = targets.find(({ kind, name = "" }) => kind === "Service" && backends.has(name.split("@", 1)[0]));
  if (guarded === undefined) return [];
  return (resource.spec.rules ?? []).flatMap((rule, i) => {
    const field = (["methods", "paths", "headers"] as const).find((name) => rule[name] !== undefined);
    if (field === undefined) return [];
    const effect = rule.action === "allow" ? "no session to it is allowed by this rule" : "it holds for every session";
    return [
      finding(
        "doubtful-resource",
        placeOf(resource, ["spec", "rules", i, field]),
        `sessions to ${guarded.name} have no ${field}: ${effect}`,
        "go by peers or networks",
      ),
    ];
  });
}

/** Fields of a policy for a route that has nothing that they could act on. */
function idleFields(resource: Resource, { placeOf }: CheckedSystem): Finding[] {
  if (resource.kind !== "TrafficPolicy") return [];
  const { spec } = resource;
  return (spec.targetRefs ?? []).flatMap(({ kind, name }) => {
    const idle: readonly (keyof TrafficPolicySpec)[] =
      kind === "TCPRoute" || kind === "TLSRoute"
        ? OF_REQUESTS
        : kind === "UDPRoute"
          ? [...OF_REQUESTS, "proxyProtocol"]
          : kind === "HTTPRoute" || kind === "GRPCRoute" || kind === "Method"
            ? ["proxyProtocol"]
            : [];
    return idle
      .filter((field) => spec[field] !== undefined)
      .map((field) =>
        finding(
          "doubtful-resource",
          placeOf(resource, ["spec", field]),
          `has no effect on ${kind} ${name}: ${field === "proxyProtocol" ? "it is for sessions over TCP" : "sessions have no requests"}`,
        ),
      );
  });
}

const OF_REQUESTS: readonly (keyof TrafficPolicySpec)[] = ["hedge", "cache"];
