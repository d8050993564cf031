import type { Case, Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Endpoints and keys in a real ZooKeeper: the contracts of registries, stores and revisions, and what holds when it is killed, stopped, slowed, emptied or cut off, or sessions end. */
export const zookeeper: Suite = {
  name: "zookeeper",
  waits: true,
  async run() {
    const all: Case[] = [];
    for (const names of TOGETHER) all.push(...(await testFiles("zookeeper", names)));
    return all;
  },
};

/** No more Java machines at once than a small computer has room for. */
const TOGETHER = [
  ["contract", "faults", "access"],
  ["ledger", "sessions", "tls"],
  ["control-planes", "ensemble", "settings"],
  ["linearizable"],
];
