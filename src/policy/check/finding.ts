import type { Place } from "../../core/errors.ts";

/** Something that is wrong with resources, or most likely not meant, and where it stands. */
export interface Finding {
  readonly id: FindingId;
  readonly severity: Severity;
  readonly place: Place;
  readonly message: string;
  /** What to do about it; "" when the message says it. */
  readonly suggestion: string;
  /** What else to look at. */
  readonly related: readonly { readonly place: Place; readonly message: string }[];
}

/** "note" is for people to know and never fails a check. */
export type Severity = "error" | "warning" | "note";

export interface FindingKind {
  readonly severity: Severity;
  /** A sentence, for tools that list their rules. */
  readonly title: string;
}

/** Every kind of finding. Ids are stable: people suppress by them. */
export const FINDINGS = {
  "invalid-resource": { severity: "error", title: "A resource is not well formed." },
  "doubtful-resource": {
    severity: "warning",
    title: "A field has no effect, or names what is not declared.",
  },
  "route-never-matches": { severity: "error", title: "No request can reach a match of a route." },
  "policy-conflict": { severity: "warning", title: "Two policies write one field for one target in different ways." },
  "authorization-shadowed": {
    severity: "warning",
    title: "A rule of an Authorization cannot change any decision.",
  },
  "not-enforced": { severity: "error", title: "The named data plane would not enforce a field." },
  "differs-by-place": {
    severity: "note",
    title: "A data plane enforces a field, but not to the letter as the others do.",
  },
  "retry-amplification": { severity: "warning", title: "Retries multiply along the call graph." },
  "call-graph": { severity: "note", title: "How much retries may multiply along the call graph." },
  "deadline-not-met": { severity: "warning", title: "Time-outs that cannot be met together." },
} as const satisfies Record<string, FindingKind>;

export type FindingId = keyof typeof FINDINGS;

export function finding(
  id: FindingId,
  place: Place,
  message: string,
  suggestion = "",
  related: Finding["related"] = [],
): Finding {
  return { id, severity: FINDINGS[id].severity, place, message, suggestion, related };
}

/** By file, line and column; last what stands nowhere. */
export function compareFindings(a: Finding, b: Finding): number {
  const nowhere = (one: Finding): number => (one.place.file === undefined && one.place.field === undefined ? 1 : 0);
  if (nowhere(a) !== nowhere(b)) return nowhere(a) - nowhere(b);
  const file = (one: Finding): string => one.place.file ?? "";
  if (file(a) !== file(b)) return file(a) < file(b) ? -1 : 1;
  return (a.place.line ?? 0) - (b.place.line ?? 0) || (a.place.column ?? 0) - (b.place.column ?? 0);
}
