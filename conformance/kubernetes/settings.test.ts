import { openKubernetesKeyValue } from "../../src/drivers/kubernetes/kubernetes-key-value.ts";
import { openKubernetesRegistry } from "../../src/drivers/kubernetes/kubernetes-registry.ts";
import { settingsFaults } from "../settings-faults.ts";
import { KubernetesServer } from "./server.ts";

let server: KubernetesServer;

settingsFaults("kubernetes", {
  server: async () => {
    server = await KubernetesServer.start();
    await server.namespace("live");
    return server;
  },
  openStore: (address, clock) =>
    openKubernetesKeyValue({ url: server.url("live", address), system: "settings", clock }),
  openRegistry: (address, clock) =>
    openKubernetesRegistry({ url: server.url("live", address), system: "settings", clock }),
});
