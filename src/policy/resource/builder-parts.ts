import { formatDuration } from "./duration.ts";
import type { Duration, TargetKind, TargetRef } from "./resources.ts";

/** Numbers are milliseconds. */
export function durationText(value: Duration | number): Duration {
  return typeof value === "number" ? formatDuration(value) : value;
}

/**
 * What a policy is for, as people write it: "payments" is a service, "pay.v1.Payments/Charge" a method, "*" the system; or a target in full.
 */
export type TargetInput = string | TargetRef;

export function targetOf(input: TargetInput): TargetRef {
  if (typeof input !== "string") return input;
  if (input === "*") return { kind: "System" };
  const kind: TargetKind = input.includes("/") ? "Method" : "Service";
  return { kind, name: input };
}

/** The default name of a policy for a target. */
export function policyName(target: TargetRef): string {
  const text = `${target.name ?? target.kind}${target.sectionName === undefined ? "" : `-${target.sectionName}`}`;
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, "-")
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "");
  return name === "" ? "policy" : name;
}
