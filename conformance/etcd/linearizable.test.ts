import { test } from "node:test";
import { openEtcdKeyValue } from "../../src/drivers/etcd/etcd-key-value.ts";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import { HurtLine } from "../hurt-line.ts";
import { checkLinearizable } from "../linearizable.ts";
import { hurtInTurn } from "../linearizable-faults.ts";
import { EtcdServer } from "./server.ts";

test("etcd: what concurrent clients see across faults is in order", async () => {
  const server = await EtcdServer.start();
  const line = await HurtLine.open(server.port);
  let opened = 0;
  const url = (): string => `etcd://${opened++ % 2 === 0 ? server.address : line.address}`;
  try {
    await checkLinearizable({
      name: "etcd",
      openKeyValue: () => openEtcdKeyValue({ url: url(), system: "lin" }),
      openRegistry: () => openEtcdRegistry({ url: url(), system: "lin", mode: "consistent" }),
      hurt: () => hurtInTurn(server, line),
    });
  } finally {
    await line.close();
    await server.stop();
  }
});
