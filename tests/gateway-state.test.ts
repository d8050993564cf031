import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { connect } from "weftmesh";
import { freePort } from "../conformance/free-port.ts";
import { Counter } from "../examples/counter/gen/counter/v1/counter.ts";

const MAIN = "src/cli/main.ts";

interface Started {
  readonly child: ChildProcess;
  readonly address: string;
}

/** Starts a program and waits for the address in the first line that it prints. */
async function start(t: TestContext, args: string[], env: Record<string, string> = {}): Promise<Started> {
  const child = spawn(process.execPath, ["-C", "weft-source", ...args], {
    cwd: join(import.meta.dirname, ".."),
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.after(() => child.kill("SIGKILL"));
  if (env.WEFT_CONTROL !== undefined) return { child, address: "" };
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  return { child, address: /127\.0\.0\.1:\d+/.exec(line)?.[0] ?? assert.fail(line) };
}

async function kill({ child }: Started): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

async function eventually(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`${what}: not within 20 s`);
}

test("a gateway that starts while the control plane is away carries calls as before", {
  timeout: 120_000,
}, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "weft-known-"));
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 10 }));
  const file = join(dir, "gateway.json");
  const control = await start(t, [MAIN, "control", "--listen", "127.0.0.1:0"]);
  await start(t, ["examples/counter/server.ts"], { PORT: "0", WEFT_CONTROL: control.address });
  const args = [MAIN, "gateway", "--control", control.address, "--state-file", file];
  const before = await start(t, [...args, "--listen", `127.0.0.1:${await freePort()}`]);
  const hello = async (): Promise<boolean> => {
    const response = await fetch(`http://${before.address}/counter`);
    return response.status === 200 && (await response.text()) === "Hello, Counter Service!";
  };
  await eventually(hello, "the first call");
  const saved = (): { services: { endpoints: unknown[] }[]; contracts: unknown[] } =>
    existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { services: [], contracts: [] };
  await eventually(() => {
    const { services, contracts } = saved();
    return contracts.length > 0 && services.some(({ endpoints }) => endpoints.length > 0);
  }, "the state file");

  await kill(control);
  assert.equal(await hello(), true);
  await kill(before);
  const after = await start(t, [...args, "--listen", before.address]);
  assert.equal(after.address, before.address);
  assert.equal(await hello(), true); // REST, by the contract of last time
  assert.equal((await connect(Counter, { address: after.address }).count({ count: 1n })).count, 2n);
});
