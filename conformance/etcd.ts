import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Endpoints in a real etcd: the contract of registries, and what holds when etcd is killed, stopped, slowed, emptied or cut off. */
export const etcd: Suite = {
  name: "etcd",
  waits: true,
  tools: ["etcd"],
  run: () =>
    testFiles("etcd", [
      "contract",
      "key-value",
      "ledger",
      "settings",
      "faults",
      "security",
      "control-planes",
      "linearizable",
    ]),
};
