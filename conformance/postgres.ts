import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Endpoints, keys and values in a real PostgreSQL: the contracts, what holds when it is killed, stopped, slowed, emptied or cut off, and whether what clients see is in order. */
export const postgres: Suite = {
  name: "postgres",
  waits: true,
  run: () =>
    testFiles("postgres", ["contract", "ledger", "settings", "access", "faults", "control-planes", "linearizable"]),
};
