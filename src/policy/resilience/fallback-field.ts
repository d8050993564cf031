import { conditions, FIELD_VALUE } from "../resource/common-shapes.ts";
import { ConditionSet } from "../resource/conditions.ts";
import type { PolicyField } from "../resource/policy-field.ts";
import type { FallbackSpec } from "../resource/resources.ts";
import { anything, number, object } from "../resource/shape.ts";
import { NAMED_BREAKER } from "./breaker-field.ts";

export interface FallbackSettings {
  readonly status: number;
  readonly fields: readonly string[];
  readonly body: Uint8Array;
  readonly on: ConditionSet;
}

/** When a fallback answers that does not say when. */
export const FALLBACK_ON: readonly string[] = [
  ...NAMED_BREAKER.on,
  "overflow",
  "breaker-open",
  "no-endpoint",
  "resource_exhausted",
];

/** Taken whole; null when there is none. */
export const fallbackField: PolicyField<FallbackSpec, FallbackSettings | null> = {
  check: object({ status: number(200, 599, true), contentType: FIELD_VALUE, body: anything, on: conditions }),
  over: (_under, spec) => spec,
  compile(spec) {
    if (spec === null) return null;
    const text = spec.body === undefined ? "" : typeof spec.body === "string" ? spec.body : JSON.stringify(spec.body);
    const contentType =
      spec.contentType ?? (typeof spec.body === "string" ? "text/plain; charset=utf-8" : "application/json");
    return {
      status: spec.status ?? 200,
      fields: text === "" ? [] : ["content-type", contentType],
      body: new TextEncoder().encode(text),
      on: new ConditionSet(spec.on ?? FALLBACK_ON),
    };
  },
};
