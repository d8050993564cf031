import { WeftError } from "../core/errors.ts";
import { isPrintable } from "../core/printable.ts";
import type { SettingsState } from "../settings/settings-state.ts";
import type { CurrentResources, LedgerRevision } from "./ledger-revision.ts";

/** What is to be the ledger's next revision. */
export interface Publication {
  /** YAML or JSON. */
  readonly text: string;
  /** Where it comes from, for error messages. */
  readonly source: string;
  readonly author: string;
  readonly reason: string;
  /** The revision that must be the current one; undefined: whatever it is. */
  readonly expected?: number;
  readonly validateOnly?: boolean;
}

/** Who publishes, why, and on what condition. */
export type PublicationNotes = Pick<Publication, "author" | "reason" | "expected" | "validateOnly">;

export interface CheckedResources extends CurrentResources {
  /** What is most likely not meant, a line each. */
  readonly warnings: readonly string[];
}

/** The revision that is current now, and what is doubtful about its resources. */
export interface Published extends LedgerRevision {
  readonly warnings: readonly string[];
}

/** Parses and checks a whole set; throws `invalid_argument` that says everything that is wrong. */
export type ResourceCheck = (text: string, source: string) => CheckedResources;

/** Throws `invalid_argument` for settings that cannot be published; returns what is doubtful about them, a line each. */
export type SettingsCheck = (settings: SettingsState) => readonly string[];

/** Throws `invalid_argument` for what is said of a publication and cannot be kept or shown. */
export function assertNotes(notes: Readonly<Record<string, string>>): void {
  for (const [field, value] of Object.entries(notes)) {
    if (value.length > MAX_NOTE_LENGTH) {
      const text = `${field} has ${value.length} characters; at most ${MAX_NOTE_LENGTH} are kept`;
      throw new WeftError("invalid_argument", text, { reason: "TOO_LONG", place: { field } });
    }
    // They are shown in lists and logs, where nobody is to write lines of others. A reason may have lines.
    if (isPrintable(field === "reason" ? value.replace(/[\n\t]/g, " ") : value)) continue;
    const text = `${field} has control characters`;
    throw new WeftError("invalid_argument", text, { reason: "BAD_TEXT", place: { field } });
  }
}

/** What to throw where another revision is current than the publisher thinks. */
export function stale(expected: number, { revision, author, reason }: LedgerRevision): WeftError {
  const by = `${author || "nobody"} (${reason || "no reason given"})`;
  const text = `revision ${expected} is not the current one: ${revision} was published by ${by}; look at what changed and publish again`;
  return new WeftError("aborted", text, { reason: "STALE_REVISION" });
}

const MAX_NOTE_LENGTH = 1_000;
