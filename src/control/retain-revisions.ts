import type { Clock } from "../core/clock.ts";
import { toWeftError } from "../core/errors.ts";
import type { Ledger } from "./ledger.ts";

export interface RetainOptions {
  /** How many revisions are kept, beside those with tags. */
  keep: number;
  /** One control plane alone does it. */
  leads: () => boolean;
  clock: Clock;
  /** What a person should read. */
  onEvent: (line: string) => void;
}

/** Drops old revisions every ten minutes. Returns what ends it. */
export function retainRevisions(
  ledger: Pick<Ledger, "retain">,
  { keep, leads, clock, onEvent }: RetainOptions,
): () => void {
  let ended = false;
  let cancel = (): void => {};
  const look = async (): Promise<void> => {
    try {
      const dropped = leads() ? await ledger.retain(keep) : 0;
      if (dropped > 0) onEvent(`${dropped} revisions older than the newest ${keep} were dropped`);
    } catch (thrown) {
      if (!ended) onEvent(`old revisions could not be dropped: ${toWeftError(thrown).message}`);
    }
    if (!ended) again();
  };
  const again = (): void => {
    cancel = clock.after(EVERY_MS, () => void look());
  };
  again();
  return () => {
    ended = true;
    cancel();
  };
}

/** In memory, and where something outlives the process. */
export const KEPT_REVISIONS = { memory: 1_000, store: 10_000 } as const;
const EVERY_MS = 600_000;
