import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { registryFaults } from "../registry-faults.ts";
import { ConsulServer } from "./server.ts";

registryFaults("consul", {
  server: () => ConsulServer.start(),
  url: (address) => `consul://${address}`,
  open: openConsulRegistry,
});
