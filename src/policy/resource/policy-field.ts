import type { Check } from "./shape.ts";

/**
 * One field of a TrafficPolicy: how it must look, how a more specific policy's is laid over a less specific one's, and what it means in the end.
 * snapshot/policy-fields.ts lists all of them; resolvePolicy (snapshot/effective-policy.ts) goes through that list.
 */
export interface PolicyField<Spec, Settings> {
  readonly check: Check;
  /** `under` is null when no less specific policy writes the field. Must not change either. */
  over(under: Spec | null, spec: Spec): Spec;
  /** `spec` is null when nobody writes the field: the default. Specs were checked before. */
  compile(spec: Spec | null): Settings;
}

/** Without the fields that are there but undefined. */
export function defined<T extends object>(from: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as never;
}
