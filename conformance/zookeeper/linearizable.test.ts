import { test } from "node:test";
import { openZookeeperKeyValue } from "../../src/drivers/zookeeper/zookeeper-key-value.ts";
import { openZookeeperRegistry } from "../../src/drivers/zookeeper/zookeeper-registry.ts";
import { HurtLine } from "../hurt-line.ts";
import { checkLinearizable } from "../linearizable.ts";
import { wait } from "../registry-plane.ts";
import { connect } from "./kept-endpoints.ts";
import { SeenSessions } from "./seen-sessions.ts";
import { ZookeeperServer } from "./server.ts";

test("what clients of keys and of a consistent registry see has an order, whatever happens to ZooKeeper", async () => {
  const server = await ZookeeperServer.start();
  const line = await HurtLine.open(server.port);
  const seen = new SeenSessions();
  const sessions = await HurtLine.open(server.port, seen.hear);
  const addresses = [server.address, line.address, sessions.address];
  let opened = 0;
  const urlOf = (): string => `zookeeper://${addresses[opened++ % 3]}`;
  try {
    await checkLinearizable({
      name: "zookeeper",
      openKeyValue: () => openZookeeperKeyValue({ url: urlOf(), system: "shop" }),
      openRegistry: () => openZookeeperRegistry({ url: urlOf(), system: "shop", mode: "consistent" }),
      hurt: async () => {
        await wait(1_000);
        for (let i = 0; i < 5; i++) {
          line.reset();
          sessions.reset();
          await wait(200);
          // Of the last client that came; it may have another one by now.
          if (seen.ticket === null) continue;
          const killer = await connect(server.address, seen.ticket).catch(() => null);
          await killer?.endSession();
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
    await sessions.close();
    await server.stop();
  }
});

test("nor whatever happens to the members of an ensemble, whoever of them leads", async () => {
  const members = await ZookeeperServer.ensemble(3);
  const addresses = members.map(({ address }) => address);
  let opened = 0;
  // Each begins at another one.
  const urlOf = (): string => `zookeeper://${[0, 1, 2].map((i) => addresses[(opened + i) % 3]).join(",")}`;
  const next = (): string => {
    opened++;
    return urlOf();
  };
  try {
    await checkLinearizable({
      name: "zookeeper, three members",
      clients: 4,
      openKeyValue: () => openZookeeperKeyValue({ url: next(), system: "shop" }),
      openRegistry: () => openZookeeperRegistry({ url: next(), system: "shop", mode: "consistent" }),
      hurt: async () => {
        for (const member of members) {
          await wait(500);
          member.pause();
          await wait(4_500);
          member.resume();
          await wait(1_000);
        }
        for (const member of members) {
          await member.kill();
          await wait(1_000);
          await member.start();
          await wait(1_000);
        }
      },
    });
  } finally {
    for (const member of members) await member.stop();
  }
});
