import { WeftError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { LedgerRevision } from "./ledger-revision.ts";

/** A newest entry that is not in force, because it does not hold good: the one before stays. */
export interface RefusedRevision {
  readonly revision: number;
  readonly author: string;
  /** What is wrong with it, and where. */
  readonly problem: string;
}

/** What people are told of it. `current`: what stays in force. */
export function refusalText({ revision, author, problem }: RefusedRevision, current: LedgerRevision): string {
  const stays = current.revision === 0 ? "nothing is in force" : `revision ${current.revision} stays in force`;
  // Somebody may have edited it in the store.
  const by = printable(author || "nobody", 256);
  return `revision ${revision} by ${by} is refused, and ${stays}: ${printable(problem.replaceAll("\n", "; "))}`;
}

/** What is doubtful about publishing after a revision that was refused. */
export function replaces({ revision, author }: RefusedRevision): string {
  return `revision ${revision} by ${author || "nobody"} was never in force, because it does not hold good; this one replaces it, with everything in it`;
}

/** What to throw where the current one was edited: data planes know what they have by its number. */
export function rewritten({ revision }: LedgerRevision): WeftError {
  const text = `it was rewritten, and revision ${revision} is in force as it was before; put the change into a revision of its own (another commit)`;
  return new WeftError("failed_precondition", text, { reason: REWRITTEN });
}

/** The reason of what rewritten() makes. */
export const REWRITTEN = "REVISION_REWRITTEN";
