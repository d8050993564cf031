import { didYouMean } from "../../core/suggest.ts";
import type { Resource } from "../resource/resources.ts";
import type { FieldPath } from "../resource/shape.ts";
import { checkLoginRoutes } from "./login-routes.ts";
import { findProvider, providerLabel } from "./providers.ts";

/** References between security's resources. A provider that does not exist is an error, since whoever is judged by it could be anybody or nobody. */
export function checkSecurityReferences(
  resource: Resource,
  all: readonly Resource[],
  error: (path: FieldPath, message: string) => void,
  warn: (path: FieldPath, message: string) => void,
): void {
  if (resource.kind !== "Authentication" && resource.kind !== "Authorization") return;
  const authentications = all.filter((other) => other.kind === "Authentication");
  const check = (label: string, path: FieldPath): void => {
    if (label === "*" || findProvider(label, authentications) !== null) return;
    const labels = authentications.flatMap(({ metadata, spec }) =>
      spec.providers.filter(({ use }) => use === undefined).map((provider) => providerLabel(provider, metadata.name)),
    );
    error(path, `there is no provider ${label}${didYouMean(label, labels)}`);
  };
  if (resource.kind === "Authorization") {
    resource.spec.rules?.forEach((rule, i) => {
      rule.authenticatedBy?.forEach((label, j) => {
        check(label, ["spec", "rules", i, "authenticatedBy", j]);
      });
    });
    return;
  }
  checkLoginRoutes(resource, all, warn);
  const own = new Set<string>();
  resource.spec.providers.forEach((provider, i) => {
    const path = ["spec", "providers", i];
    if (provider.use !== undefined) {
      check(provider.use, [...path, "use"]);
      return;
    }
    const label = providerLabel(provider, resource.metadata.name);
    const found = findProvider(label, authentications);
    if (own.has(label) || (found !== null && found.resource !== resource)) {
      error(path, `there are two providers ${label}; give one a name of its own`);
    }
    own.add(label);
  });
}
