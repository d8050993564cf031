import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { connect } from "weftmesh";
import { Counter } from "../examples/counter/gen/counter/v1/counter.ts";
import { weft } from "./running-system.ts";

const ROOT = join(import.meta.dirname, "..");

/** Starts a program and waits for the address in the first line that it prints. */
async function start(t: TestContext, ...args: string[]): Promise<{ child: ChildProcess; address: string }> {
  const env = { ...process.env, PORT: "0" };
  const child = spawn(process.execPath, ["-C", "weft-source", ...args], {
    cwd: ROOT,
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const address = /127\.0\.0\.1:\d+/.exec(line)?.[0];
  assert.ok(address !== undefined, line);
  return { child, address };
}

test("weft proxy balances over static endpoints, HTTP/1.1 and HTTP/2 downstream on one port", {
  timeout: 120_000,
}, async (t) => {
  const servers = await Promise.all([start(t, "examples/counter/server.ts"), start(t, "examples/counter/server.ts")]);
  const to = servers.flatMap(({ address }) => ["--to", address]);
  const h2 = await start(t, "src/cli/main.ts", "proxy", "--listen", "127.0.0.1:0", ...to, "--h2");
  const h1 = await start(t, "src/cli/main.ts", "proxy", "--listen", "127.0.0.1:0", ...to);

  for (const { address } of [h1, h2]) {
    assert.equal(await (await fetch(`http://${address}/counter`)).text(), "Hello, Counter Service!");
  }
  const client = connect(Counter, { address: h2.address });
  assert.equal((await client.count({ count: 1n })).count, 2n);
  const seen: bigint[] = [];
  for await (const { count } of client.watch({ from: 5n, limit: 3 })) seen.push(count);
  assert.deepEqual(seen, [5n, 6n, 7n]);

  await t.test("weft call streams both ways by reflection", async () => {
    const sum = await weft("call", "counter.v1.Counter/Sum", '{"count": 1}', '{"count": 5}', "--address", h2.address);
    assert.deepEqual([sum.status, sum.stdout], [0, '{"sum":"6"}\n'], sum.stderr);
    const watch = await weft("call", "counter.v1.Counter/Watch", '{"from": 1, "limit": 2}', "--address", h2.address);
    assert.deepEqual([watch.status, watch.stdout], [0, '{"count":"1"}\n{"count":"2"}\n'], watch.stderr);
  });

  await t.test("SIGTERM ends it orderly", async () => {
    for (const { child } of [h1, h2]) {
      child.kill("SIGTERM");
      assert.deepEqual(await once(child, "exit"), [0, null]);
    }
  });
});
