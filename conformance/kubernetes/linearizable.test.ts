import { openKubernetesKeyValue } from "../../src/drivers/kubernetes/kubernetes-key-value.ts";
import { openKubernetesRegistry } from "../../src/drivers/kubernetes/kubernetes-registry.ts";
import { judgeDriver } from "../linearizable-faults.ts";
import { KubernetesServer } from "./server.ts";

judgeDriver("kubernetes", {
  server: async () => {
    const server = await KubernetesServer.start();
    await server.namespace("contract");
    return server;
  },
  url: (address, server) => server.url("contract", address),
  openRegistry: openKubernetesRegistry,
  openKeyValue: openKubernetesKeyValue,
});
