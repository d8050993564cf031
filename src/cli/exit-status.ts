/** Exit statuses of every command. */
export const EXIT = { ok: 0, failed: 1, usage: 2, killed: 130 } as const;
