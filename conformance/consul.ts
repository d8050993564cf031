import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Endpoints, keys and revisions in a real Consul: their contracts, ACLs, what others see and register there, and what holds when Consul is hurt. */
export const consul: Suite = {
  name: "consul",
  waits: true,
  tools: ["consul"],
  run: () =>
    testFiles("consul", [
      "contract",
      "key-value",
      "ledger",
      "settings",
      "faults",
      "linearizable",
      "others",
      "security",
      "cluster",
    ]),
};
