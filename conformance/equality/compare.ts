import { codeOfHttpStatus } from "../../src/contract/status.ts";
import { codeNumber } from "../../src/core/errors.ts";
import { DIVERGENCES } from "../../src/policy/check/divergences.ts";
import type { Resource } from "../../src/policy/resource/resources.ts";
import { LISTED } from "./listed.ts";
import type { Aspect, EqualityRequest, Observation, Place } from "./model.ts";

/** One request at one place that was not as at the gateway. */
export interface Difference {
  readonly place: string;
  /** Index in the case. */
  readonly request: number;
  readonly aspects: readonly Aspect[];
  readonly expected: Observation;
  readonly found: Observation;
  /** Listed divergences that explain it; empty: nobody knows why. */
  readonly listed: readonly string[];
}

const ASPECTS: readonly Aspect[] = [
  "status",
  "grpcStatus",
  "reason",
  "broken",
  "origin",
  "headers",
  "body",
  "attempts",
  "mirrors",
];

/** What differs; null when nothing does. */
export function compare(
  place: Place,
  request: EqualityRequest,
  index: number,
  expected: Observation,
  found: Observation,
  resources: readonly Resource[],
): Difference | null {
  const want = place.planes.includes("client") ? asClientsSee(expected) : expected;
  const have = place.planes.includes("client") ? asClientsSee(found) : found;
  const aspects = ASPECTS.filter((aspect) => {
    if (aspect === "reason" && !place.tellsReasons) return false;
    return JSON.stringify(want[aspect]) !== JSON.stringify(have[aspect]);
  });
  if (aspects.length === 0) return null;
  const listed = DIVERGENCES.filter(
    ({ id, places, appliesTo }) =>
      places.some((plane) => place.planes.includes(plane)) &&
      LISTED[id]?.explains(request, want, have) === true &&
      (appliesTo === null || resources.some((resource) => appliesTo(resource).length > 0)),
  );
  // Together they must explain all that differs.
  const explained = aspects.every((aspect) => listed.some(({ shows }) => shows.includes(aspect)));
  const by = explained ? listed.filter(({ shows }) => shows.some((aspect) => aspects.includes(aspect as Aspect))) : [];
  return { place: place.name, request: index, aspects, expected: want, found: have, listed: by.map(({ id }) => id) };
}

/** A typed client gives codes, not HTTP: what a gRPC caller makes of an answer, and nothing of how it was written. */
function asClientsSee(seen: Observation): Observation {
  const mapped = seen.status === 200 ? 2 : seen.status === 0 ? 14 : codeNumber(codeOfHttpStatus(seen.status));
  const grpcStatus = seen.grpcStatus >= 0 ? seen.grpcStatus : mapped;
  const failed = grpcStatus !== 0;
  // A failure is an exception: whose it was stands in its reason, and it has no head.
  return {
    ...seen,
    // What the client itself makes of an answer that is no gRPC.
    reason: seen.reason.startsWith("NO") && seen.reason.includes("GRPC") ? "" : seen.reason,
    status: 200,
    grpcStatus,
    broken: false,
    origin: failed ? "" : seen.origin,
    headers: failed ? "" : seen.headers,
    body: failed ? "" : seen.body,
  };
}
