import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { isRunning } from "./is-running.case.ts";

test("what a host started does not outlive it when it is killed outright", {
  skip: process.platform === "win32",
}, async () => {
  const host = `
    const { Guard } = await import(${JSON.stringify(new URL("./guard.ts", import.meta.url).href)});
    const { startProcess } = await import(${JSON.stringify(new URL("./process.ts", import.meta.url).href)});
    const guard = new Guard(200);
    const ignore = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')";
    const child = startProcess({ command: process.execPath, args: ["-e", ignore], cwd: ".", env: {} }, { onLine: () => console.log(child.pid), onExit() {} });
    guard.watch(child.pid);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", host], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  const pid = Number(String(line));
  assert.ok(isRunning(pid));
  child.kill("SIGKILL");
  for (let i = 0; i < 2_000 && isRunning(pid); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(!isRunning(pid), "the child is left");
});
