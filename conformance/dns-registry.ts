import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Services that a real dnsmasq names, also through a control plane and a gateway, and what holds when servers fail. */
export const dnsRegistry: Suite = {
  name: "dns-registry",
  run: () => testFiles("dns-registry", ["contract", "dnsmasq", "end-to-end"]),
};
