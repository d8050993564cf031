import { after, before, test } from "node:test";
import { openConsulKeyValue } from "../../src/drivers/consul/consul-key-value.ts";
import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { HurtLine } from "../hurt-line.ts";
import { checkLinearizable } from "../linearizable.ts";
import { ConsulServer, wait } from "./server.ts";

let server: ConsulServer;
before(async () => {
  server = await ConsulServer.start();
});
after(() => server.stop());

test("what clients of keys and of a consistent registry see has an order, whatever happens to Consul", async () => {
  const line = await HurtLine.open(server.port);
  let opened = 0;
  const urlOf = (): string => `consul://${opened++ % 2 === 0 ? server.address : line.address}`;
  try {
    await checkLinearizable({
      name: "consul",
      clients: 4,
      keys: 8,
      pauseMs: 150,
      openKeyValue: () => openConsulKeyValue({ url: urlOf(), system: "shop" }),
      openRegistry: () => openConsulRegistry({ url: urlOf(), system: "shop", mode: "consistent" }),
      hurt: async () => {
        await wait(1_000);
        for (let i = 0; i < 5; i++) {
          line.reset();
          await wait(200);
        }
        server.pause();
        await wait(4_000);
        server.resume();
        await wait(1_500);
        line.delayMs = 200;
        await server.kill();
        await wait(500);
        await server.start();
        await wait(1_500);
        line.delayMs = 0;
        await server.kill();
        await server.start();
        await wait(1_000);
      },
    });
  } finally {
    await line.close();
  }
});
