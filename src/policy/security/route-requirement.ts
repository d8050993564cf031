import { type Resource, WEFT_API } from "../resource/resources.ts";

/** What a route asks of its callers. */
export interface RouteRequirement {
  /** Providers, any of which suffices: "jwt:shop". */
  readonly providers: readonly string[];
  /** Claims that the caller must have: equal to the value, or to one of a list. */
  readonly claims: RequiredClaims;
}

export type RequiredClaims = Readonly<
  Record<string, string | number | boolean | readonly (string | number | boolean)[]>
>;

/** The policies that say it: an Authentication of the route, and an Authorization where claims are asked for. */
export function requirementResources(route: string, { providers, claims }: RouteRequirement): Resource[] {
  if (providers.length === 0) return [];
  const targetRefs = [{ kind: "HTTPRoute", name: route }] as const;
  const metadata = { name: `route.${route}` };
  const resources: Resource[] = [
    {
      apiVersion: WEFT_API,
      kind: "Authentication",
      metadata,
      spec: { targetRefs, providers: providers.map((use) => ({ use })) },
    },
  ];
  const matches = Object.entries(claims).map(([claim, value]) =>
    typeof value === "object" ? { claim, in: value } : { claim, equals: value },
  );
  if (matches.length > 0) {
    const rules = [{ action: "allow", authenticatedBy: providers, claims: matches }] as const;
    resources.push({ apiVersion: WEFT_API, kind: "Authorization", metadata, spec: { targetRefs, rules } });
  }
  return resources;
}
