import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Endpoints, keys and values in SQLite, in a process that is killed: whether what clients see is in order. */
export const sqlite: Suite = { name: "sqlite", run: () => testFiles("sqlite", ["linearizable"]) };
