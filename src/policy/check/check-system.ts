import type { Place } from "../../core/errors.ts";
import { inspectResources, type Problem } from "../resource/validate.ts";
import { retryAmplification } from "./call-graph.ts";
import type { CheckedListener, CheckedSystem } from "./checked-system.ts";
import { placesThatDiffer } from "./differs-by-place.ts";
import type { DataPlane } from "./enforcement.ts";
import { compareFindings, type Finding, finding } from "./finding.ts";
import { missingParts } from "./missing-parts.ts";
import { unenforcedFields } from "./not-enforced.ts";
import { policyConflicts } from "./policy-conflicts.ts";
import { references } from "./references.ts";
import { sessionChecks } from "./session-checks.ts";
import { shadowedAuthorization } from "./shadowed-authorization.ts";
import { unmetDeadlines } from "./unmet-deadlines.ts";
import { unreachableRoutes } from "./unreachable-routes.ts";

export interface CheckOptions {
  /** Services of the system; absent: references to services are not checked. */
  services?: readonly string[];
  /** Versions of those that have some. */
  versions?: ReadonlyMap<string, readonly string[]>;
  /** Which services each calls. */
  needs?: ReadonlyMap<string, readonly string[]>;
  /** Listeners of its gateway beside HTTP; absent: routes to them are not checked. */
  listeners?: readonly CheckedListener[];
  placeOfNeeds?: (service: string) => Place;
  /** Default: weft's own data planes, each where it enforces things. */
  dataPlane?: DataPlane | null;
  /** Also what is for people who want to know everything: how weft's own places differ. Default: false. */
  strict?: boolean;
}

/**
 * Everything that can be said of resources before they are live: that each is well formed, that references lead somewhere, that routes can match, that policies do
 * not contradict each other, that time-outs fit together, how much retries multiply, and what a data plane would leave out. `documents` are plain objects or
 * documents that know their places.
 *
 * Resources that are not well formed are told and left out of the rest.
 */
export function checkSystem(documents: readonly unknown[], options: CheckOptions = {}): Finding[] {
  const { services, needs = new Map(), versions = new Map(), placeOfNeeds = nowhere, dataPlane = null } = options;
  const { resources, errors, warnings, placeOf } = inspectResources(
    documents,
    services === undefined ? {} : { services },
  );
  const system: CheckedSystem = {
    resources,
    placeOf,
    services: services ?? [],
    versions,
    needs,
    placeOfNeeds,
    listeners: options.listeners ?? null,
    dataPlane,
    strict: options.strict ?? false,
  };
  return [
    ...errors.map((problem) => told("invalid-resource", problem)),
    ...warnings.map((problem) => told("doubtful-resource", problem)),
    ...CHECKS.flatMap((check) => check(system)),
  ].sort(compareFindings);
}

const CHECKS: readonly ((system: CheckedSystem) => Finding[])[] = [
  references,
  unreachableRoutes,
  policyConflicts,
  shadowedAuthorization,
  unmetDeadlines,
  missingParts,
  sessionChecks,
  retryAmplification,
  unenforcedFields,
  placesThatDiffer,
];

function told(id: "invalid-resource" | "doubtful-resource", { message, place }: Problem): Finding {
  const mark = message.lastIndexOf("; did you mean ");
  if (mark < 0) return finding(id, place, message);
  return finding(id, place, message.slice(0, mark), message.slice(mark + 2));
}

function nowhere(): Place {
  return {};
}
