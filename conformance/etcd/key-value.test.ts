import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openEtcdKeyValue } from "../../src/drivers/etcd/etcd-key-value.ts";
import { ABSENT, ANY } from "../../src/settings/key-value.ts";
import { HurtLine } from "../hurt-line.ts";
import { wait } from "../registry-plane.ts";
import { EtcdServer } from "./server.ts";

let server: EtcdServer;
let systems = 0;
before(async () => {
  server = await EtcdServer.start();
});
after(() => server.stop());

const openFor = (system: string) => () => openEtcdKeyValue({ url: `etcd://${server.address}`, system });

test("etcd: what was changed while the line was cut is told when it is back", async () => {
  const line = await HurtLine.open(server.port);
  const system = `store-${++systems}`;
  const far = await openEtcdKeyValue({ url: `etcd://${line.address}`, system });
  const near = await openFor(system)();
  const told: string[] = [];
  far.watch("a/b", (item) => told.push(item === null ? "none" : Buffer.from(item.value).toString()));
  await near.put("a/b", Buffer.from("1"), ABSENT);
  const until = async (value: string): Promise<number> => {
    const began = performance.now();
    while (told.at(-1) !== value) {
      if (performance.now() - began > 5_000) throw new Error(`waited in vain for ${value}: ${told}`);
      await wait(10);
    }
    return performance.now() - began;
  };
  await until("1");
  line.refusing = true;
  line.reset();
  await near.put("a/b", Buffer.from("2"), ANY);
  await assert.rejects(far.put("a/b", Buffer.from("lost"), ANY), { code: "unavailable" });
  line.refusing = false;
  console.log(`told of what was missed after ${Math.round(await until("2"))} ms`);
  const held = await far.get("a/b");
  assert.equal(Buffer.from(held?.value ?? []).toString(), "2");
  await far.close();
  await near.close();
  await line.close();
});
