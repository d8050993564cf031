import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { ConsulServer } from "../consul/server.ts";
import { EtcdServer } from "../etcd/server.ts";
import { wait } from "../registry-plane.ts";
import { WeftProcess } from "../weft-process.ts";

/** Continuous copies, as commands that run beside real servers. */

let consul: ConsulServer;
let etcd: EtcdServer;
before(async () => {
  [consul, etcd] = await Promise.all([ConsulServer.start(), EtcdServer.start()]);
});
after(async () => {
  await Promise.all([consul.stop(), etcd.stop()]);
});

const idsAt = async (registry: Registry) =>
  (await registry.query(["*"])).endpoints
    .map(({ id }) => id)
    .sort()
    .join(" ");

async function until(registry: Registry, wanted: string, limitMs = 10_000): Promise<number> {
  const started = performance.now();
  while ((await idsAt(registry)) !== wanted) {
    assert.ok(
      performance.now() - started < limitMs,
      `not within ${limitMs} ms: ${wanted}; there are ${await idsAt(registry)}`,
    );
    await wait(20);
  }
  return performance.now() - started;
}

const FOREVER = Number.POSITIVE_INFINITY;

test("Consul and etcd, copied both ways at once, follow each other and do not echo", async () => {
  const [consulUrl, etcdUrl] = [`consul://${consul.address}`, `etcd://${etcd.address}`];
  const [atConsul, atEtcd] = await Promise.all([
    openConsulRegistry({ url: consulUrl, system: "shop" }),
    openEtcdRegistry({ url: etcdUrl, system: "shop" }),
  ]);
  await atConsul.register(endpointOf("alpha", 1), FOREVER);
  const copies = [
    new WeftProcess(["registry", "copy", consulUrl, etcdUrl, "--follow", "--system", "shop"]),
    new WeftProcess(["registry", "copy", etcdUrl, consulUrl, "--follow", "--system", "shop"]),
  ];
  try {
    await Promise.all(copies.map((copy) => copy.line(/copied$/)));
    await until(atEtcd, "alpha-1");
    const lease = await atEtcd.register(endpointOf("beta", 1), FOREVER);
    console.log(`measured etcd to Consul: ${Math.round(await until(atConsul, "alpha-1 beta-1"))} ms`);
    await atConsul.register(endpointOf("alpha", 2), FOREVER);
    console.log(`measured Consul to etcd: ${Math.round(await until(atEtcd, "alpha-1 alpha-2 beta-1"))} ms`);
    await lease.release();
    await until(atConsul, "alpha-1 alpha-2");
    await wait(1_500);
    const told = copies.flatMap(({ lines }) => lines).filter((line) => /^[+~-] /.test(line));
    assert.deepEqual(told.sort(), ["+ alpha-1", "+ alpha-2", "+ beta-1", "- beta-1"]);
    assert.deepEqual([await idsAt(atConsul), await idsAt(atEtcd)], ["alpha-1 alpha-2", "alpha-1 alpha-2"]);
  } finally {
    for (const copy of copies) await copy.stop();
    await Promise.all([atConsul.close(), atEtcd.close()]);
  }
});

test("a source that is killed takes nothing away, and is followed again when it is back", async () => {
  const plane = new WeftProcess(["control", "--listen", "127.0.0.1:0"]);
  const url = `consul://${consul.address}`;
  let copy: WeftProcess | null = null;
  try {
    const [, control] = await plane.line(/WEFT_CONTROL=(\S+)/);
    const source = await openConsulRegistry({ url, system: "mall" });
    await source.register(endpointOf("alpha", 1, { metadata: { "weft.health-check": "ttl" } }), FOREVER);
    copy = new WeftProcess([
      "registry",
      "copy",
      url,
      control,
      "--follow",
      "--system",
      "mall",
      "--prefix-ids",
      "dc1-",
      "--ttl",
      "3",
    ]);
    await copy.line(/^1 endpoint is copied$/);
    const there = async (): Promise<string> => {
      const { services = [] } = (await (await fetch(`http://${control}/v1/services`)).json()) as {
        services?: { endpoints: { endpoint: { id: string } }[] }[];
      };
      return services
        .flatMap(({ endpoints }) => endpoints.map(({ endpoint }) => endpoint.id))
        .sort()
        .join(" ");
    };
    assert.equal(await there(), "dc1-alpha-1");
    await consul.kill();
    for (let i = 0; i < 10; i++) {
      await wait(500);
      assert.equal(await there(), "dc1-alpha-1");
    }
    await consul.start();
    const started = performance.now();
    await source.register(endpointOf("alpha", 2, { metadata: { "weft.health-check": "ttl" } }), FOREVER);
    while ((await there()) !== "dc1-alpha-1 dc1-alpha-2") {
      assert.ok(performance.now() - started < 15_000, await there());
      await wait(20);
    }
    console.log(
      `measured Consul was killed for 5 s: followed again ${Math.round(performance.now() - started)} ms after it answered`,
    );
    await source.close();
    await copy.stop();
    const ended = performance.now();
    while ((await there()) !== "") {
      assert.ok(performance.now() - ended < 8_000, "copies of a copy that has ended end with their leases");
      await wait(20);
    }
  } finally {
    await copy?.stop();
    await plane.stop();
  }
});
