import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test from "node:test";
import { createDirectClient } from "../../src/call/direct.ts";
import { Access } from "../../src/contract/gen/weft/control/v1/access.ts";
import { WeftError } from "../../src/core/errors.ts";
import { MemoryKeyValue } from "../../src/settings/memory-key-value.ts";
import { exposition } from "../../src/telemetry/exposition.ts";
import { eventually, registrationOf, World } from "./world.ts";

test("a control plane tells what it holds, whom it refused and why, and what it does not reach", async (t) => {
  const world = new World();
  t.after(() => world.close());
  const store = new MemoryKeyValue();
  const plane = await world.startInMemory({
    store,
    limits: { maxProcesses: 1, maxConnectionsPerAddress: 5 },
    identity: { operatorToken: "the operator's secret of this test" },
  });
  const read = (name: string) => {
    const lines = exposition(plane.metrics).split("\n");
    return Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1));
  };
  const { link } = world.link({ role: "gateway" });
  await link.register(registrationOf("orders"));
  await plane.publish({ text: "[]", source: "test", author: "ada", reason: "first" });
  assert.deepEqual(
    [
      'processes{role="gateway"}',
      'endpoints{health="healthy"}',
      "services",
      "revision",
      "leads",
      "planes",
      "cut_off",
    ].map((name) => read(`weft_control_${name}`)),
    [1, 1, 1, plane.revision, 1, 1, 0],
  );
  world.link();
  await eventually(() => read('weft_control_refused_total{reason="TOO_MANY_PROCESSES"}') > 0, "too many processes");
  const { client, close } = createDirectClient(Access, plane.address);
  world.onClose(close);
  await assert.rejects(client.listAudit({}));
  assert.equal(read('weft_control_refused_total{reason="NOT_OPERATOR"}'), 1);
  await client
    .grantRole({ service: "deployer" }, { metadata: { authorization: "Bearer the operator's secret of this test" } })
    .catch(() => {});
  assert.ok(read('weft_control_audit_entries_total{outcome="written"}') > 0);
  const sockets = Array.from({ length: 8 }, () => connect(plane.port, "127.0.0.1").on("error", () => {}));
  const closed = "weft_control_refused_connections_total";
  await eventually(() => read(`${closed}{limit="maxConnectionsPerAddress"}`) >= 3, "connections over the limit");
  for (const socket of sockets) socket.destroy();
  assert.equal(read("weft_control_store_away_seconds"), 0);
  store.get = async () => {
    throw new WeftError("unavailable", "the store is away");
  };
  await assert.rejects(plane.publish({ text: "[]", source: "test", author: "ada", reason: "second" }));
  await eventually(() => read("weft_control_store_away_seconds") > 0, "the store to be away");
});

test("weft control --admin serves metrics and health", async () => {
  const main = join(import.meta.dirname, "../../src/cli/main.ts");
  const args = ["-C", "weft-source", "--no-warnings", main, "control", "--listen", "0", "--admin", "0"];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env.PATH },
  });
  try {
    let at = "";
    for await (const line of createInterface(child.stdout)) {
      at = /^metrics at (http:\S+)\/metrics$/.exec(line)?.[1] ?? "";
      if (at !== "") break;
    }
    assert.match(at, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.match(await (await fetch(`${at}/metrics`)).text(), /^weft_control_leads 1$/m);
    assert.equal((await fetch(`${at}/readyz`)).status, 200);
  } finally {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
});
