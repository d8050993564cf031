import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Three control planes over one real store, under load: killed, stopped, cut off from it, restarted. */
export const controlPlanes: Suite = {
  name: "control-planes",
  waits: true,
  tools: ["etcd", "consul"],
  run: async () => {
    const cases = [];
    // One after the other: what they measure are times.
    for (const store of ["etcd", "consul", "postgres", "zookeeper"])
      cases.push(...(await testFiles("several", [store])));
    return cases;
  },
};
