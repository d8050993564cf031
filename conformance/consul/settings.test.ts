import { openConsulKeyValue } from "../../src/drivers/consul/consul-key-value.ts";
import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { settingsFaults } from "../settings-faults.ts";
import { ConsulServer } from "./server.ts";

settingsFaults("consul", {
  server: () => ConsulServer.start(),
  openStore: (address, clock) => openConsulKeyValue({ url: `consul://${address}`, system: "settings", clock }),
  openRegistry: (address, clock) => openConsulRegistry({ url: `consul://${address}`, system: "settings", clock }),
});
