import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** `weft registry copy` between a real Consul, a real etcd and control planes, and what holds when one of them is away. */
export const registryCopy: Suite = {
  name: "registry-copy",
  tools: ["consul", "etcd"],
  run: () => testFiles("registry-copy", ["copy"]),
};
