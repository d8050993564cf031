import { openConsulKeyValue } from "../../src/drivers/consul/consul-key-value.ts";
import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { driverContracts } from "../driver-contracts.ts";
import { ConsulServer } from "./server.ts";

driverContracts("consul", {
  server: () => ConsulServer.start(),
  url: (address) => `consul://${address}`,
  openRegistry: openConsulRegistry,
  openKeyValue: openConsulKeyValue,
});
