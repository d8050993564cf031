import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openConsulKeyValue } from "../../src/drivers/consul/consul-key-value.ts";
import { ANY } from "../../src/settings/key-value.ts";
import { succeeds, timeUntil, wait } from "../registry-plane.ts";
import { ConsulServer } from "./server.ts";

let server: ConsulServer;
before(async () => {
  server = await ConsulServer.start();
});
after(() => server.stop());

test("a watch goes on when Consul was killed, stood still, or has lost its data", async () => {
  const hurt = await ConsulServer.start();
  const url = `consul://${hurt.address}`;
  const [store, another] = [
    await openConsulKeyValue({ url, system: "hurt" }),
    await openConsulKeyValue({ url, system: "hurt" }),
  ];
  const told: (string | null)[] = [];
  another.watch("a", (item) => told.push(item === null ? null : Buffer.from(item.value).toString()));
  const put = async (text: string): Promise<void> => {
    await timeUntil(() => succeeds(store.put("a", Buffer.from(text), ANY)), `putting ${text}`);
    const took = await timeUntil(() => told.at(-1) === text, `being told of ${text}`);
    console.log(`measured consul, watch of a key: ${text} told after ${Math.round(took)} ms`);
  };
  try {
    await put("before");
    await hurt.kill();
    await assert.rejects(store.get("a"), { code: "unavailable", reason: "CONSUL_AWAY" });
    await hurt.start();
    await put("after it was killed");
    hurt.pause();
    await wait(100);
    await assert.rejects(store.get("a"), { code: "unavailable" });
    hurt.resume();
    await put("after it stood still");
    await hurt.kill();
    hurt.lose();
    await hurt.start();
    await timeUntil(() => told.at(-1) === null, "being told that it is gone");
    await put("after its data were lost");
  } finally {
    await store.close();
    await another.close();
    await hurt.stop();
  }
});

test("more keys than it has connections for are not watched", async () => {
  const store = await openConsulKeyValue({ url: `consul://${server.address}`, system: "many" });
  const watches = Array.from({ length: 24 }, (_, i) => store.watch(`k${i}`, () => {}));
  store.watch("k1", () => {});
  assert.throws(() => store.watch("one-more", () => {}), { code: "resource_exhausted", reason: "TOO_MANY_WATCHES" });
  assert.ok(await store.put("k1", Buffer.from("1"), ANY), "it is usable beside them");
  for (const watch of watches) watch.close();
  await store.close();
});
