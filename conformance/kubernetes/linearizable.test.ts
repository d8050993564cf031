import { test } from "node:test";
import { openKubernetesKeyValue } from "../../src/drivers/kubernetes/kubernetes-key-value.ts";
import { openKubernetesRegistry } from "../../src/drivers/kubernetes/kubernetes-registry.ts";
import { HurtLine } from "../hurt-line.ts";
import { checkLinearizable } from "../linearizable.ts";
import { hurtInTurn } from "../linearizable-faults.ts";
import { KubernetesServer } from "./server.ts";

test("what clients of keys and of a consistent registry see has an order, whatever happens to Kubernetes", async () => {
  const server = await KubernetesServer.start();
  await server.namespace("shop");
  const line = await HurtLine.open(server.port);
  let opened = 0;
  const url = (): string => server.url("shop", opened++ % 2 === 0 ? server.address : line.address);
  try {
    await checkLinearizable({
      name: "kubernetes",
      openKeyValue: () => openKubernetesKeyValue({ url: url(), system: "shop" }),
      openRegistry: () => openKubernetesRegistry({ url: url(), system: "shop", mode: "consistent" }),
      hurt: () => hurtInTurn(server, line),
    });
  } finally {
    await line.close();
    await server.stop();
  }
});
