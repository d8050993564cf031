import type { Resource } from "../resource/resources.ts";
import type { DataPlane } from "./enforcement.ts";

/**
 * Where a place enforces a field, but not to the letter as weft's gateway does. Found by `npm run conformance -- equality`, which runs the same systems and requests
 * through all places and fails on whatever is not listed here, and on what is listed and does not happen any more. What a place does not enforce at all is in
 * enforcement.ts.
 */
export interface Divergence {
  /** Stable: "envoy-reset-status". */
  readonly id: string;
  /** Who does otherwise. */
  readonly places: readonly DataPlane[];
  /** What such a place does, and what the others do. */
  readonly what: string;
  readonly reason: string;
  /** What of a call it shows in (conformance/equality/model.ts, Observation). */
  readonly shows: readonly string[];
  /** Where a resource asks for what differs, as paths into it; empty when it does not. Null: it is so whatever is written. */
  readonly appliesTo: ((resource: Resource) => readonly (readonly (string | number)[])[]) | null;
}

export const DIVERGENCES: readonly Divergence[] = [
  {
    id: "fallback-as-message",
    places: ["client"],
    what: "A typed client makes a message of a fallback's body; gateways and sidecars give gRPC callers the failure.",
    reason: "who passes gRPC through as bytes knows no messages; give fallback.grpc, which is the same everywhere",
    shows: ["grpcStatus", "reason", "origin", "headers", "body"],
    appliesTo: (resource) => {
      if (resource.kind !== "TrafficPolicy" || resource.spec.fallback === undefined) return [];
      const { grpc, service, stale, body, status } = resource.spec.fallback;
      const alone = (service === undefined && stale === undefined) || body !== undefined || status !== undefined;
      return grpc === undefined && alone ? [["spec", "fallback"]] : [];
    },
  },
];
