import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Consul's API as weft serves it, by those who know Consul alone: its command line, its Go client, curl. */
export const consulApi: Suite = {
  name: "consul-api",
  tools: ["consul", "consul-peer"],
  run: () => testFiles("consul-api", ["command-line", "clients", "several"]),
};
