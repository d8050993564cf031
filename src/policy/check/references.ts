import { didYouMean } from "../../core/suggest.ts";
import type { Resource, RouteFilter } from "../resource/resources.ts";
import type { FieldPath } from "../resource/shape.ts";
import { parseBackend } from "../route/rule.ts";
import { isSessionRoute } from "../route/session-route.ts";
import type { CheckedSystem } from "./checked-system.ts";
import { type Finding, finding } from "./finding.ts";

/** Versions that the system does not declare, and services that rules name (parseResources looks at those of backends and targets). */
export function references({ resources, placeOf, services, versions }: CheckedSystem): Finding[] {
  if (services.length === 0) return [];
  const findings: Finding[] = [];
  const check = (resource: Resource, path: FieldPath, name: string, alsoService: boolean): void => {
    const { service, version } = parseBackend({ name });
    const tell = (message: string, near: string): void => {
      findings.push(finding("doubtful-resource", placeOf(resource, path), message, near.replace(/^; /, "")));
    };
    if (!services.includes(service)) {
      if (alsoService) tell(`no service ${service} is declared`, didYouMean(service, services));
      return;
    }
    const known = versions.get(service) ?? [];
    if (version === "" || known.includes(version)) return;
    const has = known.length === 0 ? "it has none" : `it has ${known.join(", ")}`;
    tell(`${service} has no version ${version}; ${has}: nothing answers there`, didYouMean(version, known));
  };
  for (const resource of resources) {
    switch (resource.kind) {
      case "HTTPRoute":
      case "GRPCRoute":
        resource.spec.rules.forEach((rule, i) => {
          const at = ["spec", "rules", i];
          const mirrors = (filters: readonly RouteFilter[] | undefined, path: FieldPath): void => {
            filters?.forEach((filter, j) => {
              if (filter.type !== "RequestMirror") return;
              const name = [...path, "filters", j, "requestMirror", "backendRef", "name"];
              check(resource, name, filter.requestMirror.backendRef.name, false);
            });
          };
          mirrors(rule.filters, at);
          rule.backendRefs?.forEach((ref, j) => {
            check(resource, [...at, "backendRefs", j, "name"], ref.name, false);
            mirrors(ref.filters, [...at, "backendRefs", j]);
          });
        });
        break;
      case "TCPRoute":
      case "UDPRoute":
      case "TLSRoute":
        resource.spec.rules[0].backendRefs.forEach((ref, j) => {
          check(resource, ["spec", "rules", 0, "backendRefs", j, "name"], ref.name, false);
        });
        break;
      case "TrafficPolicy": {
        const standby = resource.spec.fallback?.service;
        if (standby !== undefined) check(resource, ["spec", "fallback", "service"], standby, false);
        break;
      }
      case "Authorization":
        resource.spec.rules?.forEach((rule, i) => {
          rule.services?.forEach((name, j) => {
            if (!name.includes("*")) check(resource, ["spec", "rules", i, "services", j], name, true);
          });
        });
        break;
      default:
        break;
    }
    if (resource.kind === "HTTPRoute" || resource.kind === "GRPCRoute" || isSessionRoute(resource)) continue;
    resource.spec.targetRefs?.forEach((target, i) => {
      if (target.kind === "Service") check(resource, ["spec", "targetRefs", i, "name"], target.name ?? "", false);
    });
  }
  return findings;
}
