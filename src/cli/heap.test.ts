import assert from "node:assert/strict";
import { type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { HEAP_ARGUMENTS } from "./heap.ts";

const MAIN = join(import.meta.dirname, "main.ts");
const onLinux = { skip: process.platform === "linux" ? false : "reads /proc" };

/** Arguments of Node that `weft proxy` runs with, once it listens. */
async function argumentsOfProxy(t: TestContext, given: string[], stdio: StdioOptions): Promise<string[]> {
  const args = [...given, "-C", "weft-source", MAIN, "proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"];
  const child = spawn(process.execPath, args, { stdio });
  t.after(() => child.kill("SIGKILL"));
  assert.ok(child.stdout !== null);
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  assert.match(line, /^http:\/\/127\.0\.0\.1:\d+ -> /);
  const all = readFileSync(`/proc/${child.pid}/cmdline`, "utf8").split("\0");
  return all.slice(1, all.indexOf(MAIN));
}

test("a long-running command goes on in its own process with a small heap", onLinux, async (t) => {
  const args = await argumentsOfProxy(t, [], ["ignore", "pipe", "inherit"]);
  assert.deepEqual(args, [...HEAP_ARGUMENTS, "-C", "weft-source"]);
});

test("a heap that was chosen by hand is kept", onLinux, async (t) => {
  const args = await argumentsOfProxy(t, ["--max-semi-space-size=8"], ["ignore", "pipe", "inherit"]);
  assert.deepEqual(args, ["--max-semi-space-size=8", "-C", "weft-source"]);
});

test("a process with a channel to its parent keeps it", onLinux, async (t) => {
  const args = await argumentsOfProxy(t, [], ["ignore", "pipe", "inherit", "ipc"]);
  assert.deepEqual(args, ["-C", "weft-source"]);
});
