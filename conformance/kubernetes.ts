import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Endpoints in EndpointSlices and keys in ConfigMaps of a real kube-apiserver: the contracts, the rights that a Role gives, what Kubernetes keeps for Services, and what holds when it is hurt. */
export const kubernetes: Suite = {
  name: "kubernetes",
  run: () => testFiles("kubernetes", ["contract", "faults", "store", "rights", "slices"]),
};
