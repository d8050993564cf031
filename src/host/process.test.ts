import assert from "node:assert/strict";
import { test } from "node:test";
import { isRunning } from "./is-running.case.ts";
import { type ProcessEvents, type ProcessSpec, startProcess } from "./process.ts";

function run(script: string, more: Partial<ProcessSpec> = {}) {
  const lines: string[] = [];
  const exit = Promise.withResolvers<string>();
  const firstLine = Promise.withResolvers<string>();
  const events: ProcessEvents = {
    onLine(stream, line) {
      lines.push(`${stream} ${line}`);
      firstLine.resolve(line);
    },
    onExit: exit.resolve,
  };
  const env = { PATH: process.env.PATH ?? "" };
  const child = startProcess(
    { command: process.execPath, args: ["-e", script], cwd: process.cwd(), env, ...more },
    events,
  );
  return { child, lines, exit: exit.promise, firstLine: firstLine.promise };
}

async function gone(pid: number): Promise<void> {
  for (let i = 0; i < 1_000 && isRunning(pid); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(!isRunning(pid), `process ${pid} is left`);
}

test("lines of both streams arrive before the exit, which has a reason", async () => {
  const { lines, exit } = run("console.log('a\\nb'); console.error('oops'); process.exitCode = 3");
  assert.equal(await exit, "exit status 3");
  assert.deepEqual(lines.toSorted(), ["err oops", "out a", "out b"]);
});

test("terminate lets a process end by itself", async () => {
  const { child, exit, firstLine } = run(
    "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000); console.log('up')",
  );
  await firstLine;
  child.terminate();
  assert.equal(await exit, "exit status 0");
});

test("kill ends a process that ignores SIGTERM", async () => {
  const { child, exit, firstLine } = run(
    "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')",
  );
  await firstLine;
  child.terminate();
  child.kill();
  assert.equal(await exit, "killed by SIGKILL");
});

test("what a process started does not outlive it", { skip: process.platform === "win32" }, async () => {
  const script =
    "const c = require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']); console.log(c.pid); setInterval(() => {}, 1000)";
  const { child, exit, firstLine } = run(script);
  const grandchild = Number(await firstLine);
  assert.ok(isRunning(grandchild));
  child.kill();
  await exit;
  await gone(grandchild);
});

test("what a crashed process leaves behind is ended", { skip: process.platform === "win32" }, async () => {
  const script =
    "const c = require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' }); console.log(c.pid); process.exit(1)";
  const { exit, firstLine } = run(script);
  const grandchild = Number(await firstLine);
  assert.equal(await exit, "exit status 1");
  await gone(grandchild);
});

test("a command that does not exist exits with a reason", async () => {
  const { child, exit } = run("", { command: "weft-no-such-command" });
  assert.equal(await exit, "cannot start weft-no-such-command: not found");
  child.kill();
});

test("a child with a channel sends messages", async () => {
  const message = Promise.withResolvers<unknown>();
  const exit = Promise.withResolvers<string>();
  startProcess(
    {
      command: process.execPath,
      args: ["-e", "process.send({ port: 7 })"],
      cwd: process.cwd(),
      env: {},
      channel: true,
    },
    { onLine() {}, onExit: exit.resolve, onMessage: message.resolve },
  );
  assert.deepEqual(await message.promise, { port: 7 });
  assert.equal(await exit.promise, "exit status 0");
});
