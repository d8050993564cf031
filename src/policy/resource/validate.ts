import { formatPlace, type Place, WeftError } from "../../core/errors.ts";
import { didYouMean } from "../../core/suggest.ts";
import { hashesByMessageAlone } from "../balance/balancer-field.ts";
import { checkConnectionLimits } from "../resilience/limits-references.ts";
import { standbyGatesMissed } from "../resilience/standby-gates.ts";
import { checkRoute } from "../route/route-references.ts";
import { isSessionRoute } from "../route/session-route.ts";
import { checkSessionRoute } from "../route/session-route-references.ts";
import { checkSecurityReferences } from "../security/security-references.ts";
import { ignoredKind } from "./ignored-kinds.ts";
import { ResourceDocument } from "./resource-document.ts";
import { RESOURCE_SHAPES } from "./resource-shapes.ts";
import type { Resource, ResourceKind, TargetRef, TrafficPolicySpec } from "./resources.ts";
import { depthOf, type FieldPath, isObject, kindOf, shown } from "./shape.ts";

export interface ParsedResources {
  readonly resources: readonly Resource[];
  /** What is allowed but most likely not meant. */
  readonly warnings: readonly Problem[];
  /** The place of a field of one of `resources`. */
  placeOf(resource: Resource, path: FieldPath): Place;
}

export interface Problem {
  readonly message: string;
  readonly place: Place;
}

export interface KnownNames {
  /** Services of the system; absent: references to services are not checked. */
  readonly services?: readonly string[];
  /** Resources whose shape has been checked before: it is not looked at again. */
  readonly checked?: { has(resource: object): boolean };
}

/**
 * Checks resources whole: plain objects, or documents that know their places (readResourceDocuments).
 * @throws WeftError invalid_argument, reason INVALID_RESOURCES, that lists every problem, a line each, with path, place and suggestion;
 *   `place` is the first one's
 */
export function parseResources(documents: readonly unknown[], known: KnownNames = {}): ParsedResources {
  const { errors, ...parsed } = inspectResources(documents, known);
  if (errors.length > 0) {
    const lines = errors.map(({ message, place }) => `${formatPlace(place)}: ${message}`);
    throw new WeftError("invalid_argument", lines.join("\n"), { reason: "INVALID_RESOURCES", place: errors[0].place });
  }
  return parsed;
}

/** What is in the documents, right or wrong, and where. */
export interface InspectedResources extends ParsedResources {
  readonly errors: readonly Problem[];
}

/** The same without throwing. */
export function inspectResources(documents: readonly unknown[], known: KnownNames = {}): InspectedResources {
  const errors: Problem[] = [];
  const warnings: Problem[] = [];
  const resources: Resource[] = [];
  const sources: Source[] = [];
  documents.forEach((document, index) => {
    const value = document instanceof ResourceDocument ? document.value : document;
    const source: Source = {
      name: nameOf(value, index),
      document: document instanceof ResourceDocument ? document : null,
    };
    const ignored = isObject(value) ? ignoredKind(value.kind, value.apiVersion) : "";
    if (ignored !== "") {
      warnings.push(problem(source, ["kind"], `has no effect: ${ignored}`));
      return;
    }
    if (!isObject(value) || known.checked?.has(value) !== true) {
      const before = errors.length;
      checkShape(value, (path, message) => errors.push(problem(source, path, message)));
      if (errors.length > before) return;
    }
    resources.push(value as Resource);
    sources.push(source);
  });
  checkNames(resources, sources, errors);
  resources.forEach((resource, i) => {
    checkSecurityReferences(
      resource,
      resources,
      (path, message) => errors.push(problem(sources[i], path, message)),
      (path, message) => warnings.push(problem(sources[i], path, message)),
    );
    checkReferences(resource, sources[i], resources, known, errors, warnings);
  });
  const placeOf = (resource: Resource, path: FieldPath): Place =>
    problem(sources[resources.indexOf(resource)], path, "").place;
  return { resources, errors, warnings, placeOf };
}

interface Source {
  /** "HTTPRoute products", for places outside files. */
  readonly name: string;
  readonly document: ResourceDocument | null;
}

type Tell = (path: FieldPath, message: string) => void;

/** No resource is: what is deeper is meant to exhaust whoever walks through it. */
const MAX_DEPTH = 64;

function checkShape(value: unknown, tell: Tell): void {
  if (depthOf(value, MAX_DEPTH) >= MAX_DEPTH) return tell([], `is nested deeper than ${MAX_DEPTH} levels`);
  if (!isObject(value)) return tell([], `must be a resource, is ${kindOf(value)}`);
  const { kind } = value;
  const kinds = Object.keys(RESOURCE_SHAPES);
  if (typeof kind !== "string" || !Object.hasOwn(RESOURCE_SHAPES, kind)) {
    const near = typeof kind === "string" ? didYouMean(kind, kinds) : "";
    return tell(
      ["kind"],
      `${kind === undefined ? "is missing" : `${shown(kind)} is no kind`}${near || `; use ${kinds.join(", ")}`}`,
    );
  }
  RESOURCE_SHAPES[kind as ResourceKind](value, [], tell);
}

function checkNames(resources: readonly Resource[], sources: readonly Source[], errors: Problem[]): void {
  const seen = new Set<string>();
  resources.forEach(({ kind, metadata }, i) => {
    const key = `${kind}/${metadata.name}`;
    if (seen.has(key))
      errors.push(problem(sources[i], ["metadata", "name"], `there are two of kind ${kind} with this name`));
    seen.add(key);
  });
}

/** References to what does not exist are warnings: it may be registered later, by something that this system does not describe. */
function checkReferences(
  resource: Resource,
  source: Source,
  all: readonly Resource[],
  { services }: KnownNames,
  errors: Problem[],
  warnings: Problem[],
): void {
  const warn: Tell = (path, message) => warnings.push(problem(source, path, message));
  const service = (name: string, path: FieldPath): void => {
    if (services === undefined) return;
    const bare = name.split("@", 1)[0];
    if (!services.includes(bare)) warn(path, `no service ${bare} is declared${didYouMean(bare, services)}`);
  };
  if (isSessionRoute(resource)) {
    const tell: Tell = (path, message) => errors.push(problem(source, path, message));
    checkSessionRoute(resource, tell, warn, service);
    return;
  }
  if (resource.kind === "HTTPRoute" || resource.kind === "GRPCRoute") {
    const tell: Tell = (path, message) => errors.push(problem(source, path, message));
    checkRoute(resource, tell, warn, (path, name) => service(name, path));
    return;
  }
  if (resource.kind === "TrafficPolicy" && hashesByMessageAlone(resource.spec.balancer))
    warn(
      ["spec", "balancer", "hash"],
      "gRPC that passes through a gateway or sidecar goes anywhere: messages are read by typed clients, and of REST that the gateway makes gRPC of; add another key",
    );
  if (resource.kind === "TrafficPolicy") {
    checkMutualTls(resource.spec, (path, message) => errors.push(problem(source, path, message)));
    checkConnectionLimits(resource.spec, (path, message) => errors.push(problem(source, path, message)));
    const missed = standbyGatesMissed(resource.spec, all);
    if (missed !== "") warn(["spec", "fallback", "service"], missed);
  }
  if (resource.kind === "TrafficPolicy" && resource.spec.fallback?.service !== undefined)
    service(resource.spec.fallback.service, ["spec", "fallback", "service"]);
  resource.spec.targetRefs?.forEach((target, i) => {
    const path = ["spec", "targetRefs", i];
    if (target.kind === "Service") service(target.name ?? "", [...path, "name"]);
    else if (target.kind.endsWith("Route")) routeTarget(target, path, all, warn);
  });
}

/** A connection carries calls of all methods, and is made before a version or a route is known. */
function checkMutualTls({ mtls, targetRefs = [] }: TrafficPolicySpec, tell: Tell): void {
  if (mtls === undefined) return;
  targetRefs.forEach(({ kind, name = "" }, i) => {
    if (kind !== "System" && (kind !== "Service" || name.includes("@")))
      tell(["spec", "targetRefs", i], "mtls holds for whole services or for the system; give it a policy of its own");
  });
}

function routeTarget(target: TargetRef, path: FieldPath, all: readonly Resource[], warn: Tell): void {
  const routes = all.filter((other) => other.kind === target.kind);
  const route = routes.find(({ metadata }) => metadata.name === target.name);
  if (route === undefined || !("rules" in route.spec) || !route.kind.endsWith("Route")) {
    const near = didYouMean(
      target.name ?? "",
      routes.map(({ metadata }) => metadata.name),
    );
    return warn([...path, "name"], `there is no ${target.kind} ${target.name}${near}`);
  }
  const { sectionName } = target;
  const rules = (route.spec.rules as readonly { readonly name?: string }[]).map(({ name }) => name ?? "");
  if (sectionName !== undefined && !rules.includes(sectionName)) {
    warn(
      [...path, "sectionName"],
      `${target.kind} ${target.name} has no rule ${sectionName}${didYouMean(sectionName, rules)}`,
    );
  }
}

function problem({ name, document }: Source, path: FieldPath, message: string): Problem {
  const field = formatPath(path);
  if (document === null) return { message, place: { field: field === "" ? name : `${name} ${field}` } };
  return { message, place: { ...document.placeOf(path), field } };
}

function nameOf(value: unknown, index: number): string {
  if (!isObject(value)) return `resources[${index}]`;
  const name = isObject(value.metadata) ? value.metadata.name : undefined;
  return typeof name === "string" && typeof value.kind === "string" ? `${value.kind} ${name}` : `resources[${index}]`;
}

function formatPath(path: FieldPath): string {
  return path.reduce<string>(
    (text, part) => text + (typeof part === "number" ? `[${part}]` : text === "" ? part : `.${part}`),
    "",
  );
}
