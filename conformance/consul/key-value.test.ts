import { after, before } from "node:test";
import { openConsulKeyValue } from "../../src/drivers/consul/consul-key-value.ts";
import { keyValueCases } from "../../src/settings/key-value.case.ts";
import { ConsulServer } from "./server.ts";

let server: ConsulServer;
let systems = 0;
before(async () => {
  server = await ConsulServer.start();
});
after(() => server.stop());

keyValueCases("consul", async () => {
  const system = `keys-${++systems}`;
  const open = () => openConsulKeyValue({ url: `consul://${server.address}`, system });
  return { open, openAnother: open };
});
