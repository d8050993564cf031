import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createDirectClient, type DirectClient } from "../../src/call/direct.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import { freePort } from "../free-port.ts";
import { HurtLine } from "../hurt-line.ts";
import { LINE_FAULTS } from "../line-faults.ts";
import { LiveProcess } from "../live-process.ts";
import { succeeds, timeUntil, wait } from "../registry-plane.ts";

/**
 * A control plane with everything in SQLite is hurt, under two processes that use live settings and an endpoint: how long it takes until what is published is the live value at both, and
 * what one registers is known to the other (at most 5 s); and that neither ever was without a value, or without the endpoint.
 */
const folder = mkdtempSync(join(tmpdir(), "weft-sqlite-"));
/** Longer than processes are cut off, with the pause before the attempt that gets through, for then what they do not renew goes; shorter than the control plane stands still. */
const TTL_MS = 20_000;
const OPERATOR = randomBytes(32).toString("base64");
const metadata = { authorization: `Bearer ${OPERATOR}` };
const processes: LiveProcess[] = [];
let port = 0;
let child: ChildProcess | null = null;
let line: HurtLine;
let admin: DirectClient<typeof Admin>;
let value = 0;

async function startPlane(): Promise<void> {
  const execArgv = ["--conditions=weft-source", "--no-warnings=ExperimentalWarning"];
  const started = fork(join(import.meta.dirname, "plane-child.ts"), [folder, String(port), OPERATOR], { execArgv });
  child = started;
  await new Promise<void>((resolve, reject) => {
    started.once("message", () => resolve());
    started.once("exit", (code, signal) => reject(new Error(`the control plane ended with ${code ?? signal}`)));
  });
}

async function killPlane(): Promise<void> {
  const killed = child;
  child = null;
  if (killed === null || killed.exitCode !== null || killed.signalCode !== null) return;
  killed.kill("SIGKILL");
  await once(killed, "exit");
}

before(async () => {
  port = await freePort();
  await startPlane();
  line = await HurtLine.open(port);
  admin = createDirectClient(Admin, `127.0.0.1:${port}`);
  await publish();
  for (const registers of [true, false]) processes.push(await LiveProcess.start(line.address, TTL_MS, registers));
  for (const each of processes) await timeUntil(() => each.sees("alpha"), "the endpoint");
});

after(async () => {
  for (const each of processes) await each.close();
  await admin?.close();
  await line?.close();
  child?.kill("SIGCONT");
  await killPlane();
  rmSync(folder, { recursive: true, force: true });
});

async function publish(): Promise<void> {
  const set = { namespace: "orders", change: { case: "set" as const, value: { key: "limit", json: `${++value}` } } };
  const done = (): Promise<boolean> =>
    succeeds(admin.client.publishSettings({ changes: [set] }, { timeoutMs: 2_000, metadata }));
  await timeUntil(done, "a publication", 10_000);
}

const registered: string[] = [];
function fault(what: string, body: () => Promise<void>): void {
  test(`sqlite, a control plane and its processes: ${what}`, async () => {
    await body();
    const began = performance.now();
    const service = `service-${registered.length}`;
    registered.push(service);
    await publish();
    await processes[1].follow(service);
    await processes[0].register(service);
    const right = (): boolean => processes.every(({ limit }) => limit === value) && processes[1].sees(service);
    await timeUntil(right, "the value and the new endpoint at both", 10_000);
    const took = Math.round(performance.now() - began);
    console.log(`measured sqlite, a control plane and its processes, ${what}: right again ${took} ms after recovery`);
    assert.ok(took < 5_000, `${took} ms`);
    for (const each of processes) assert.deepEqual(each.went, [], "something that was in use went away");
    assert.ok(processes.every((each) => each.sees("alpha")));
  });
}

fault("killed and started again after 2 s", async () => {
  await killPlane();
  await wait(2_000);
  await startPlane();
});

fault("paused for 30 s", async () => {
  child?.kill("SIGSTOP");
  await wait(30_000);
  child?.kill("SIGCONT");
});

fault("its folder lost", async () => {
  await killPlane();
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  await startPlane();
});

for (const ms of [3_600_000, -3_600_000])
  fault(`its wall clock jumps an hour ${ms > 0 ? "forth" : "back"}`, async () => {
    child?.send(ms);
    await wait(4_000);
  });

fault("slow: 200 ms each way", async () => {
  line.delayMs = 200;
  await wait(4_000);
});

for (const [what, hurt] of Object.entries(LINE_FAULTS))
  fault(what, () => {
    line.delayMs = 0;
    return hurt(line);
  });

test("sqlite, a control plane and its processes: nothing of what is renewed leaves afterwards", async () => {
  await wait(TTL_MS + 1_000);
  for (const each of processes) {
    assert.deepEqual(each.went, []);
    for (const service of ["alpha", ...registered]) assert.ok(each === processes[0] || each.sees(service), service);
  }
});
