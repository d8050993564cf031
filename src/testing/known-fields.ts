import { WeftError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import type { Fault, ServiceModel } from "./types.ts";

/** Throws `invalid_argument` for a field that is none: in plain JavaScript a misspelt one would be left out in silence. */
export function assertModelFields(service: string, model: ServiceModel): void {
  assertKnown(`services.${service}`, model, [...MODEL_FIELDS, ...DESCRIPTION_FIELDS]);
  for (const [version, own] of Object.entries(model.versions ?? {}))
    assertKnown(`services.${service}.versions.${version}`, own, [...MODEL_FIELDS, ...DESCRIPTION_FIELDS]);
}

export function assertFaultFields(fault: Fault): void {
  assertKnown("a fault", fault, FAULT_FIELDS);
}

function assertKnown(what: string, value: object, known: readonly string[]): void {
  for (const field of Object.keys(value)) {
    if (known.includes(field)) continue;
    throw new WeftError("invalid_argument", `${what} has no field ${field}${didYouMean(field, known)}`, {
      reason: "BAD_OPTION",
      place: { field },
    });
  }
}

/** The compiler sees to it that none is missing. */
const MODEL_FIELDS = Object.keys({
  replicas: 0,
  latencyMs: 0,
  concurrency: 0,
  above: 0,
  maxWaiting: 0,
  speed: 0,
  errorRate: 0,
  errorStatus: 0,
  connectMs: 0,
  networkMs: 0,
  reportsLoad: 0,
  finishesCancelled: 0,
  version: 0,
  versions: 0,
  zone: 0,
  weight: 0,
  metadata: 0,
  calls: 0,
  definition: 0,
  contract: 0,
  answer: 0,
  run: 0,
  needs: 0,
} satisfies Record<keyof ServiceModel, 0>);

/** Of a system's description, without a meaning in a simulation. */
const DESCRIPTION_FIELDS = ["env", "cwd", "register", "readyTimeoutMs", "drainMs", "restart", "sidecar"];

const FAULT_FIELDS = Object.keys({
  stallMs: 0,
  latencyMs: 0,
  slowBy: 0,
  addMs: 0,
  errorRate: 0,
  status: 0,
  grpcStatus: 0,
  resetRate: 0,
  down: 0,
  hangRate: 0,
  from: 0,
  forMs: 0,
} satisfies Record<keyof Fault, 0>);
