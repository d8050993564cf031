import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { RunningSystem, weft } from "./running-system.ts";

const COUNTER = join(import.meta.dirname, "..", "examples", "counter", "server.ts");

function folder(t: TestContext, description: string): string {
  const dir = mkdtempSync(join(tmpdir(), "weft-dns-"));
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 10 }));
  writeFileSync(join(dir, "weft.yaml"), description);
  return dir;
}

test("a system's services are found by name, also after the one who answers was killed", {
  timeout: 120_000,
}, async (t) => {
  const shown = `[${process.execPath}, "-e", "console.log('dns ' + process.env.WEFT_DNS); setInterval(() => {}, 1000)"]`;
  const description = `name: x\ndns: { listen: 0 }\nservices:\n  counter: { run: ${COUNTER}, replicas: 2 }\n`;
  const system = new RunningSystem(t, folder(t, `${description}  other: { run: ${shown}, register: self }\n`));
  for (const ready of ["counter-1", "counter-2"])
    await system.event(({ type, id }) => type === "ready" && id === ready);
  const { line } = await system.event(({ type, line }) => type === "log" && `${line}`.startsWith("dns "));
  const address = `${line}`.slice("dns ".length);
  assert.match(address, /^127\.0\.0\.1:\d+$/);
  const resolver = new Resolver({ timeout: 1_000, tries: 10 });
  resolver.setServers([address]);
  // The host's line may have heard of them first.
  const srv = () => resolver.resolveSrv("_grpc._tcp.counter.weft").catch(() => []);
  let found = await srv();
  while (found.length < 2) found = await srv();
  assert.deepEqual(await resolver.resolve4("counter.weft"), ["127.0.0.1"]);
  assert.deepEqual(found.map(({ name }) => name).sort(), [
    "counter-1.endpoint.counter.weft",
    "counter-2.endpoint.counter.weft",
  ]);
  const instances = await system.instances();
  const dns = instances.find(({ id }) => id === "dns-1");
  assert.equal(dns?.address, address);
  const seen = system.events.length;
  process.kill(dns?.pid ?? 0, "SIGKILL");
  await system.event(({ type, unit }) => type === "ready" && unit === "dns", seen);
  assert.deepEqual(await resolver.resolve4("counter.weft"), ["127.0.0.1"]);
});

test("a taken port, and what is wrong with dns, are told before anything starts", async (t) => {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  t.after(() => socket.close());
  await once(socket, "listening");
  const { port } = socket.address();
  const services = `services: { counter: { run: ${COUNTER} } }\n`;
  const taken = await weft("up", folder(t, `name: x\ndns: { listen: ${port} }\n${services}`), "--listen", "0");
  assert.equal(taken.status, 1);
  assert.match(taken.stderr, new RegExp(`weft\\.yaml:2.*127\\.0\\.0\\.1:${port} is in use.*\\[PORT_IN_USE\\]`));
  const wrong = await weft("up", folder(t, `name: x\ndns: { allow: [10.0.0.0/99], ttl: -1, port: 1 }\n${services}`));
  assert.equal(wrong.status, 1);
  for (const text of [/dns\.allow\[0\].*no address or network/, /dns\.ttl.*from 0 to 86400/, /dns\.port/])
    assert.match(wrong.stderr, text);
});
