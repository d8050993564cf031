/** Where a call is. */
export const Phase = {
  idle: 0,
  /** At a gate, for the answer to a query. */
  asking: 1,
  /** Attempts are under way. */
  trying: 2,
  /** For the back-off before a retry. */
  waiting: 3,
  committed: 4,
  session: 5,
  ended: 6,
  /** At a gate, for as long as it wants. */
  held: 7,
  /** At the server, by its handler. */
  accepted: 8,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];
