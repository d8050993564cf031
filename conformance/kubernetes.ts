import type { Case, Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/**
 * Endpoints in EndpointSlices and keys in ConfigMaps of a real kube-apiserver: the contracts, the rights that a Role gives, what Kubernetes keeps for Services, what holds when it is hurt, and that what is seen has
 * an order. An API server takes a core while it starts: no more than two at once.
 */
export const kubernetes: Suite = {
  name: "kubernetes",
  waits: true,
  tools: ["etcd", "kube-apiserver"],
  async run() {
    const found: Case[] = [];
    for (const files of PAIRS) found.push(...(await testFiles("kubernetes", files)));
    return found;
  },
};

const PAIRS = [
  ["contract", "rights"],
  ["store", "slices"],
  ["control-planes", "linearizable"],
  ["faults", "settings"],
  ["ledger"],
];
