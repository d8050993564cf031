/**
 * In which order an authority's roots are trusted, sign and are forgotten, as a machine: `now` in, the list of roots out.
 *
 *     made --> distributing --everybody has been told--> signing --another one signs--> retiring --nothing that it signed is valid--> dropped
 *
 * "Everybody" is by time: a certificate lives for one lifetime, and whoever renews one hears of all roots; so after one lifetime nobody is left who could show a valid certificate
 * and does not trust the new root. Processes on the line hear at once.
 *
 * 1. Exactly one root signs.
 * 2. No root signs before all others have had `overlapMs` to hear of it (but for the first one, when there are no others, and the one after a root
 *    that has run out: nobody can hold a certificate of that any more).
 * 3. No root is forgotten while a certificate that it signed may be valid.
 */
export interface RootState {
  readonly id: string;
  readonly state: "distributing" | "signing" | "retiring";
  /** Epoch ms. */
  readonly sinceMs: number;
  readonly notAfterMs: number;
}

export interface RotationTimes {
  /** From distributing to signing, and from retiring to dropped. */
  readonly overlapMs: number;
  /** A root that signs is replaced by itself when less than this is left of it. */
  readonly renewBeforeMs: number;
}

/** What follows by time alone; the same array when nothing does. */
export function advanceRoots<R extends RootState>(
  roots: readonly R[],
  nowMs: number,
  { overlapMs }: RotationTimes,
): readonly R[] {
  const due = (root: R): boolean => nowMs - root.sinceMs >= overlapMs;
  const kept = roots.filter((root) => root.state !== "retiring" || !due(root));
  const over = kept.some((root) => root.state === "signing" && root.notAfterMs <= nowMs);
  const ready = kept.some((root) => root.state === "distributing" && (over || due(root)));
  if (!ready) return kept.length === roots.length ? roots : kept;
  return kept.map((root) => {
    if (root.state === "distributing") return { ...root, state: "signing" as const, sinceMs: nowMs };
    return root.state === "signing" ? { ...root, state: "retiring" as const, sinceMs: nowMs } : root;
  });
}

/** Whether another root should be made now. */
export function wantsRoot(roots: readonly RootState[], nowMs: number, { renewBeforeMs }: RotationTimes): boolean {
  return roots.length === 1 && roots[0].notAfterMs - nowMs <= renewBeforeMs;
}

/** Epoch ms at which something is due; Infinity: never by itself. */
export function nextDueMs(roots: readonly RootState[], times: RotationTimes): number {
  let due = Number.POSITIVE_INFINITY;
  for (const root of roots) due = Math.min(due, untilMs(root, roots, times));
  return due;
}

/** When a root's state ends by itself. */
export function untilMs(
  root: RootState,
  roots: readonly RootState[],
  { overlapMs, renewBeforeMs }: RotationTimes,
): number {
  if (root.state !== "signing") return root.sinceMs + overlapMs;
  return roots.length === 1 ? root.notAfterMs - renewBeforeMs : Number.POSITIVE_INFINITY;
}
