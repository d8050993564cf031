import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Endpoints and keys in a real ZooKeeper: the contracts of registries, stores and revisions, and what holds when it is killed, stopped, slowed, emptied or cut off, or sessions end. */
export const zookeeper: Suite = {
  name: "zookeeper",
  run: () =>
    testFiles("zookeeper", [
      "contract",
      "key-value",
      "revisions",
      "sessions",
      "ensemble",
      "access",
      "linearizable",
      "faults",
    ]),
};
