import type { HTTPRoute, Resource } from "../resource/resources.ts";
import type { FieldPath } from "../resource/shape.ts";
import type { Authentication } from "./authentication-resource.ts";
import { findProvider, providerLabel } from "./providers.ts";

/** Tells of logins that could not come back: the callback's path must be taken by a route for which the provider is asked. */
export function checkLoginRoutes(
  resource: Authentication,
  all: readonly Resource[],
  warn: (path: FieldPath, message: string) => void,
): void {
  resource.spec.providers.forEach((provider, i) => {
    if (provider.oidc === undefined) return;
    const label = providerLabel(provider, resource.metadata.name);
    const path = provider.oidc.callbackPath ?? "/oauth2/callback";
    const authentications = all.filter((other) => other.kind === "Authentication");
    const asking = authentications.filter(
      ({ spec, metadata }) =>
        spec.providers.some((one) => providerLabel(one, metadata.name) === label) &&
        findProvider(label, authentications) !== null,
    );
    const routes = all.filter((other) => other.kind === "HTTPRoute");
    if (routes.some((route) => takes(route, path) && asking.some((one) => holdsAt(one, route)))) return;
    const message = `no route for which ${label} holds takes ${path}: logins would not come back; choose a path below such a route`;
    warn(["spec", "providers", i, "oidc", "callbackPath"], message);
  });
}

function holdsAt({ spec }: Authentication, route: HTTPRoute): boolean {
  const { targetRefs = [] } = spec;
  if (targetRefs.length === 0) return true;
  const services = route.spec.rules.flatMap(({ backendRefs = [] }) =>
    backendRefs.map(({ name }) => name.split("@", 1)[0]),
  );
  return targetRefs.some(({ kind, name = "" }) => {
    if (kind === "System" || kind === "Gateway") return true;
    if (kind === "HTTPRoute") return name === route.metadata.name;
    return kind === "Service" && services.includes(name);
  });
}

function takes(route: HTTPRoute, path: string): boolean {
  return route.spec.rules.some(({ matches = [] }) => {
    if (matches.length === 0) return true;
    return matches.some(({ path: match }) => {
      const { type = "PathPrefix", value = "/" } = match ?? {};
      if (type === "Exact") return value === path;
      if (type !== "PathPrefix") return true; // a regular expression: it may
      const prefix = value.replace(/\/+$/, "");
      return path === prefix || path.startsWith(`${prefix}/`);
    });
  });
}
