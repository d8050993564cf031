import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { openKubernetesKeyValue } from "../../src/drivers/kubernetes/kubernetes-key-value.ts";
import { ABSENT, ANY, type KeyValue } from "../../src/settings/key-value.ts";
import { HurtLine } from "../hurt-line.ts";
import { succeeds, timeUntil, wait } from "../registry-plane.ts";
import { KubernetesServer } from "./server.ts";

/** The store in ConfigMaps while the API server and etcd are hurt: what was acknowledged stays, nothing is acknowledged that is not so, and watches are right again within 5 s. */
const CONFIG_MAPS = "/api/v1/namespaces/store/configmaps";
let server: KubernetesServer;
let systems = 0;
const opened: { close(): Promise<unknown> }[] = [];

before(async () => {
  server = await KubernetesServer.start();
  await server.namespace("store");
});
after(() => server.stop());
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function open(system: string, address?: string): Promise<KeyValue> {
  const store = await openKubernetesKeyValue({ url: server.url("store", address), system });
  opened.push(store);
  return store;
}

const bytes = (text: string) => Buffer.from(text);
const text = (item: { value: Uint8Array } | null) => item && Buffer.from(item.value).toString();

async function line(): Promise<HurtLine> {
  const one = await HurtLine.open(server.port);
  opened.push(one);
  return one;
}

/** The last value that a watch has told. */
function follow(store: KeyValue, key: string) {
  const told: (string | null)[] = [];
  store.watch(key, (item) => told.push(text(item)));
  return told;
}

/** A watcher hears of a change of now. */
async function recovered(what: string, watcher: readonly (string | null)[], writer: KeyValue): Promise<void> {
  const started = performance.now();
  const value = `after ${what}`;
  const put = () => succeeds(writer.put("hurt/key", bytes(value), ANY));
  await timeUntil(put, `${what}: a write`);
  await timeUntil(() => watcher.at(-1) === value, `${what}: the watch tells of it`);
  console.log(
    `measured kubernetes store ${what}: right again ${Math.round(performance.now() - started)} ms after recovery`,
  );
}

test("killed and started again: what was acknowledged is there, and while it is away everything is refused in time", async () => {
  const system = `store-${++systems}`;
  const [a, b] = [await open(system), await open(system)];
  const told = follow(b, "hurt/key");
  const version = await a.put("hurt/key", bytes("1"), ABSENT);
  await server.kill();
  const started = performance.now();
  const refused = { code: "unavailable" };
  await Promise.all([
    assert.rejects(a.get("hurt/key"), refused),
    assert.rejects(a.put("hurt/key", bytes("2"), version ?? ""), refused),
    assert.rejects(a.list("hurt"), refused),
    assert.rejects(a.delete("hurt/key", ANY), refused),
  ]);
  assert.ok(performance.now() - started < 5_000);
  await server.start();
  assert.deepEqual([text(await b.get("hurt/key")), (await b.get("hurt/key"))?.version], ["1", version]);
  await recovered("killed", told, a);
});

test("paused for 30 s", async () => {
  const system = `store-${++systems}`;
  const [a, b] = [await open(system), await open(system)];
  const told = follow(b, "hurt/key");
  await timeUntil(() => told.length === 1, "it is watched");
  server.pause();
  await assert.rejects(a.get("hurt/key"), { code: "unavailable" });
  await wait(25_000);
  server.resume();
  await recovered("paused", told, a);
});

test("its data lost: a version of before is never taken for one of now", async () => {
  const system = `store-${++systems}`;
  const [a, b] = [await open(system), await open(system)];
  const told = follow(b, "hurt/key");
  const version = (await a.put("hurt/key", bytes("1"), ABSENT)) ?? "";
  await timeUntil(() => told.at(-1) === "1", "it is watched");
  await server.kill();
  server.lose();
  await server.start();
  const gone = await timeUntil(() => told.at(-1) === null, "the watch tells that it is gone");
  console.log(`measured kubernetes store data lost: told after ${Math.round(gone)} ms`);
  assert.equal(await a.put("hurt/key", bytes("2"), version), null);
  await recovered("data lost", told, a);
  // Until it has the same resourceVersion as before, made by somebody else.
  const [number] = version.split(".");
  let there = "";
  for (let i = 0; there !== number && i < 2_000; i++) {
    there = (await a.put("hurt/key", bytes(`other ${i}`), ANY))?.split(".")[0] ?? "";
    if (Number(there) > Number(number)) break;
  }
  assert.equal(await a.put("hurt/key", bytes("2"), version), null);
  assert.equal(await a.delete("hurt/key", version), false);
});

test("slow, cut off, reset in the middle: watches go on, and compare-and-set counts right", async () => {
  const system = `store-${++systems}`;
  const hurt = await line();
  const [a, b] = [await open(system), await open(system, hurt.address)];
  const told = follow(b, "hurt/key");
  hurt.delayMs = 200;
  await recovered("slow", told, a);
  hurt.delayMs = 0;
  let acknowledged = 0;
  let unsure = 0;
  await a.put("hurt/count", bytes("0"), ANY);
  for (let i = 0; i < 40; i++) {
    if (i % 4 === 0) hurt.reset();
    try {
      const item = await b.get("hurt/count");
      const next = bytes(String(Number(text(item)) + 1));
      if ((await b.put("hurt/count", next, item?.version ?? ABSENT)) !== null) acknowledged++;
    } catch {
      unsure++;
    }
  }
  const counted = Number(text(await a.get("hurt/count")));
  assert.ok(counted >= acknowledged && counted <= acknowledged + unsure, `${acknowledged} <= ${counted}`);
  await recovered("reset", told, a);
  hurt.refusing = true;
  hurt.reset();
  await wait(3_000);
  await a.put("hurt/key", bytes("meanwhile"), ANY);
  hurt.refusing = false;
  await timeUntil(() => told.at(-1) === "meanwhile", "the change that it missed");
  await recovered("cut off", told, a);
});

test("a ConfigMap that somebody else made of it is refused, and says which", async () => {
  const system = `store-${++systems}`;
  const store = await open(system);
  await store.put("some/key", bytes("1"), ANY);
  const { body } = await server.call("GET", `${CONFIG_MAPS}?labelSelector=weftmesh.dev/store=${system}`);
  const [object] = body.items;
  await server.call("PUT", `${CONFIG_MAPS}/${object.metadata.name}`, {
    metadata: {
      name: object.metadata.name,
      labels: object.metadata.labels,
      annotations: { "weftmesh.dev/key": "other" },
    },
  });
  const refused = { code: "data_loss", message: new RegExp(`the ConfigMap ${object.metadata.name}`) };
  await assert.rejects(store.get("some/key"), refused);
  await assert.rejects(store.list("some"), refused);
});
