import type { BackendRef, GRPCRoute, HTTPRoute } from "../resource/resources.ts";
import type { FieldPath } from "../resource/shape.ts";
import { parseBackend } from "./rule.ts";

type Tell = (path: FieldPath, message: string) => void;

/** What of a route names other things or has no effect here. `service` looks at the name of a service. */
export function checkRoute(route: HTTPRoute | GRPCRoute, error: Tell, warn: Tell, service: Tell): void {
  const { namespace } = route.metadata;
  route.spec.parentRefs?.forEach((parent, i) => {
    for (const field of ["namespace", "sectionName", "port"] as const) {
      const path = ["spec", "parentRefs", i, field];
      if (parent[field] !== undefined)
        warn(path, "has no effect: a system has one namespace and its gateway one listener");
    }
    if (parent.kind === "ListenerSet")
      warn(["spec", "parentRefs", i, "kind"], "is taken for the gateway, which has one listener");
    if (parent.kind === "Service") service(["spec", "parentRefs", i, "name"], parent.name);
  });
  const backend = (ref: BackendRef, path: FieldPath): void => {
    service([...path, "name"], parseBackend(ref).service);
    if (ref.port !== undefined)
      warn([...path, "port"], "has no effect: endpoints come from the registry with their ports");
    if (ref.namespace === undefined) return;
    if (ref.namespace === namespace) warn([...path, "namespace"], "has no effect: a system has one namespace");
    else error([...path, "namespace"], "is another than the route's own; a system has one namespace: leave it out");
  };
  route.spec.rules.forEach((rule, i) => {
    const path = ["spec", "rules", i];
    rule.backendRefs?.forEach((ref, j) => {
      backend(ref, [...path, "backendRefs", j]);
    });
    if (rule.backendRefs?.length && rule.backendRefs.every(({ weight }) => weight === 0))
      warn([...path, "backendRefs"], "every weight is 0: all its calls fail");
    rule.filters?.forEach((filter, j) => {
      const at = [...path, "filters", j];
      if (filter.type === "RequestMirror") {
        backend(filter.requestMirror.backendRef, [...at, "requestMirror", "backendRef"]);
      } else if (filter.type === "CORS") {
        const { allowOrigins = [], allowCredentials, exposeHeaders } = filter.cors;
        if (allowOrigins.length === 0)
          warn([...at, "cors"], '"allowOrigins" is missing: pages of no other origin are allowed');
        if (allowCredentials && exposeHeaders?.includes("*"))
          warn([...at, "cors", "exposeHeaders"], '"*" has no effect with credentials; name the fields');
        if (allowCredentials && allowOrigins.includes("*"))
          warn([...at, "cors", "allowOrigins"], 'with "*" and credentials every web page may act as its visitor');
      }
    });
  });
}
