import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { createRuntime } from "weftmesh";
import { Counter } from "./gen/counter/v1/counter.ts";

/** Starts a file of this folder as a process of its own; resolves with the address that it prints. */
async function start(file: string, env: NodeJS.ProcessEnv = {}): Promise<{ child: ChildProcess; address: string }> {
  const child = spawn(process.execPath, ["-C", "weft-source", join(import.meta.dirname, file)], {
    env: { ...process.env, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(child.stdout ?? assert.fail(), "data");
  return { child, address: /127\.0\.0\.1:\d+/.exec(String(line))?.[0] ?? assert.fail(String(line)) };
}

test("SIGTERM lets calls in flight end, then the process ends with status 0", { timeout: 120_000 }, async () => {
  const { child, address } = await start("server.ts");
  await using runtime = createRuntime({ env: {} });
  const counter = runtime.connect(Counter, { address });
  const ticks = counter.watch({ from: 1n, limit: 4, intervalMs: 50 });
  assert.equal((await ticks.next()).value?.count, 1n);
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const seen: (bigint | undefined)[] = [];
  for await (const { count } of ticks) seen.push(count);
  assert.deepEqual(seen, [2n, 3n, 4n]);
  assert.deepEqual(await exited, [0, null]);
});

test("a second signal ends the process at once", { timeout: 120_000 }, async () => {
  const { child, address } = await start("server.ts");
  await using runtime = createRuntime({ env: {} });
  const ticks = runtime.connect(Counter, { address }).watch({ intervalMs: 20 });
  assert.equal((await ticks.next()).value?.count, 0n);
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  while ((await fetch(`http://${address}/readyz`).catch(() => null))?.status === 200);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [143, null]);
  await assert.rejects(async () => {
    for await (const _ of ticks);
  });
});

test("the example client calls every method and ends by itself", { timeout: 120_000 }, async () => {
  const { child, address } = await start("server.ts");
  try {
    const client = spawn(process.execPath, ["-C", "weft-source", join(import.meta.dirname, "client.ts"), address], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    client.stdout.on("data", (chunk) => (text += chunk));
    assert.deepEqual(await once(client, "close"), [0, null]);
    assert.match(
      text,
      /count: 42\nwatch: 1\nwatch: 2\nwatch: 3\nsum: 6\nchat: you said hello\nchat: you said goodbye\n/,
    );
  } finally {
    child.kill("SIGKILL");
  }
});

test("a port in use ends the process with one message that names it", { timeout: 120_000 }, async () => {
  const { child, address } = await start("server.ts");
  try {
    const port = address.split(":")[1];
    const second = spawn(process.execPath, ["-C", "weft-source", join(import.meta.dirname, "server.ts")], {
      env: { ...process.env, PORT: port },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let text = "";
    second.stderr.on("data", (chunk) => (text += chunk));
    const [status] = await once(second, "close");
    assert.notEqual(status, 0);
    assert.ok(text.includes(String(port)), text);
  } finally {
    child.kill("SIGKILL");
  }
});
