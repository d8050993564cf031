import { DEFAULT_PRIORITY } from "../machine/call-state.ts";
import type { CheckedSystem } from "./checked-system.ts";
import { type Finding, finding } from "./finding.ts";

/** Fields that act through another policy which nobody has written: stale answers without a cache, shedding by a priority that nobody sets. */
export function missingParts({ resources, placeOf }: CheckedSystem): Finding[] {
  const findings: Finding[] = [];
  const writes = (field: "admission" | "cache"): boolean =>
    resources.some(
      ({ kind, spec }) => kind === "TrafficPolicy" && spec[field] !== undefined && spec[field].enabled !== false,
    );
  const cached = writes("cache");
  const admitted = writes("admission");
  for (const resource of resources) {
    if (resource.kind === "TrafficPolicy" && resource.spec.fallback?.stale === true && !cached) {
      findings.push(
        finding(
          "doubtful-resource",
          placeOf(resource, ["spec", "fallback", "stale"]),
          "has no effect: no policy has a cache, which would hold stale answers",
          "a TrafficPolicy with cache: {}",
        ),
      );
    }
    if (resource.kind !== "Objective" || admitted) continue;
    resource.spec.shed?.forEach(({ below, pressure }, i) => {
      if (pressure === undefined && (below === undefined || below > DEFAULT_PRIORITY)) return;
      const field = pressure === undefined ? "below" : "pressure";
      const why =
        pressure === undefined ? `every call has priority ${DEFAULT_PRIORITY} without it` : "it is what sheds";
      findings.push(
        finding(
          "doubtful-resource",
          placeOf(resource, ["spec", "shed", i, field]),
          `has no effect: no policy has admission; ${why}`,
          "a TrafficPolicy with admission: {}",
        ),
      );
    });
  }
  return findings;
}
