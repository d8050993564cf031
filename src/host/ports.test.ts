import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { namedPorts, Ports } from "./ports.ts";
import { listenProblem, probePort } from "./probe.ts";
import { resolveSystem } from "./resolve-system.ts";

test("a port that is given is free, and none that a connection out takes meanwhile", async () => {
  const port = await new Ports().take();
  assert.ok(port >= 20_000 && port < 30_000, `${port}`);
  assert.equal(await probePort(port), null);
  assert.equal(await listenProblem("127.0.0.1", port), null);
});

test("of many that nobody listens on yet no two are the same, also those asked for at once", async () => {
  const ports = new Ports();
  const given = await Promise.all(Array.from({ length: 500 }, () => ports.take()));
  assert.equal(new Set(given).size, 500);
});

test("one that is held by TCP or UDP is left out, and one that the description names", async () => {
  const before = new Ports();
  const [first, second] = [await before.take(), await before.take()];
  const tcp = createServer().listen(first, "127.0.0.1");
  const udp = createSocket("udp4").bind(second, "127.0.0.1");
  await Promise.all([once(tcp, "listening"), once(udp, "listening")]);
  const next = await new Ports([], first).take();
  assert.ok(next !== first && next !== second, `${next} where ${first} and ${second} are held`);
  tcp.close();
  udp.close();

  const named = namedPorts(
    resolveSystem(
      {
        name: "named",
        gateway: { listen: 20_001, admin: 20_002, listeners: { db: "tcp:20003" } },
        dns: { listen: 20_004 },
        consul: { listen: 20_005 },
        services: { a: { run: ["true"] } },
      },
      "weft.config.ts",
      import.meta.dirname,
      () => null,
    ),
  );
  assert.deepEqual(named, [20_001, 20_002, 20_003, 20_004, 20_005]);
  const free = new Ports(Array.from({ length: 10_000 }, (_, i) => 20_000 + i));
  await assert.rejects(free.take(), { reason: "NO_FREE_PORT" });
  free.release(next);
  assert.equal(await free.take(), next);
});
