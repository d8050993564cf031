import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Endpoints, keys and values in SQLite, in processes that are killed and hurt: whether what clients see is in order, and how soon it is right again. */
export const sqlite: Suite = {
  name: "sqlite",
  waits: true,
  run: () => testFiles("sqlite", ["linearizable", "control-plane"]),
};
