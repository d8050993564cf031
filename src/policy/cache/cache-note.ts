import type { DecisionStep } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";

/** What the cache did with a call: its note's code. */
export const Did = {
  fresh: 1,
  stale: 2,
  revalidated: 3,
  staleForError: 4,
  passed: 5,
  invalidated: 6,
  onlyIfCached: 7,
} as const;

/** The note in words: `a` is the age in ms, `b` for how long it stays fresh, `text` RFC 9211's word for why the call went on. */
export function describeCacheNote({ code, a, b, text }: GateNote): Pick<DecisionStep, "text" | "values"> {
  const age: Record<string, number> = b >= 0 ? { ageMs: a, freshForMs: b } : { ageMs: a, staleForMs: -b };
  switch (code) {
    case Did.fresh:
      return { text: "answered from the cache", values: age };
    case Did.stale:
      return { text: "answered from the cache, stale as it allows", values: age };
    case Did.revalidated:
      return { text: "answered from the cache: the service says that it still holds", values: age };
    case Did.staleForError:
      return { text: "answered from the cache in place of a failure", values: age };
    case Did.invalidated:
      return { text: `${a} stored answers are no longer valid`, values: { invalidated: a } };
    case Did.onlyIfCached:
      return { text: "nothing to answer with, and the caller wants nothing else (only-if-cached)", values: {} };
    default:
      return { text: `not answered from the cache: ${REASONS[text] ?? text}`, values: {} };
  }
}

const REASONS: Readonly<Record<string, string>> = {
  "uri-miss": "nothing is stored for it",
  "vary-miss": "what is stored was for other request fields (Vary)",
  stale: "what is stored is stale",
  request: "the caller wants it from the service",
  method: "its method, or a body, keeps it out",
  bypass: "the policy's bypass",
  refresh: "it is fetched anew while the stale answer is used",
};
