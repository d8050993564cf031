import { openConsulKeyValue } from "../../src/drivers/consul/consul-key-value.ts";
import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { judgeDriver } from "../linearizable-faults.ts";
import { ConsulServer } from "./server.ts";

judgeDriver(
  "consul",
  {
    server: () => ConsulServer.start(),
    url: (address) => `consul://${address}`,
    openRegistry: openConsulRegistry,
    openKeyValue: openConsulKeyValue,
  },
  { clients: 4, keys: 8, pauseMs: 150 },
);
