/** Exit statuses of every command. `changed`: weft replay found calls that would come out otherwise. */
export const EXIT = { ok: 0, failed: 1, usage: 2, changed: 3, killed: 130 } as const;
