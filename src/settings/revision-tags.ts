import { WeftError } from "../core/errors.ts";

/** Throws `invalid_argument`, reason BAD_TAG. A name is never taken for a revision's number. */
export function assertTagName(name: string): void {
  if (name.length <= 63 && NAME.test(name) && !name.endsWith(".lock")) return;
  throw new WeftError(
    "invalid_argument",
    `${JSON.stringify(name.slice(0, 80))} cannot name a revision: a tag begins with a letter and has at most 63 letters, digits or any of . _ -, without two dots in a row or one at its end`,
    { reason: "BAD_TAG", place: { field: "name" } },
  );
}

export function unknownRevision(revision: number): WeftError {
  const text = `there is no revision ${revision}, or it was dropped; \`weft history\` lists what is kept`;
  return new WeftError("not_found", text, { reason: "UNKNOWN_REVISION" });
}

export function tagsFull(most: number): WeftError {
  const text = `there are ${most} tags already, which is the most that are kept; take some away`;
  return new WeftError("resource_exhausted", text, { reason: "TOO_MANY_TAGS" });
}

/** Good as a name of Git's, too. */
const NAME = /^[A-Za-z](?:[A-Za-z0-9_-]|\.(?!\.|$))*$/;
