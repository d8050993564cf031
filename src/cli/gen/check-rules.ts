import type { Compiled, Problem } from "./compile.ts";

/** Problems of the google.api.http rules of the project's own methods, each with the line of its annotation. */
export function checkRules(_compiled: Compiled): Problem[] {
  return [];
}
