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
function argumentsOfProxy(t: TestContext, given: string[], stdio: StdioOptions): Promise<string[]> {
  return argumentsOf(t, given, stdio, ["proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"]);
}

async function argumentsOf(
  t: TestContext,
  given: string[],
  stdio: StdioOptions,
  command: readonly string[],
): Promise<string[]> {
  const child = spawn(process.execPath, [...given, "-C", "weft-source", MAIN, ...command], { stdio });
  t.after(() => child.kill("SIGKILL"));
  assert.ok(child.stdout !== null);
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  assert.match(line, /127\.0\.0\.1:\d+/);
  const all = readFileSync(`/proc/${child.pid}/cmdline`, "utf8").split("\0");
  return all.slice(1, all.indexOf(MAIN));
}

test("a long-running command goes on in its own process with a small heap", onLinux, async (t) => {
  const args = await argumentsOfProxy(t, [], ["ignore", "pipe", "inherit"]);
  assert.deepEqual(args, [...HEAP_ARGUMENTS, "-C", "weft-source"]);
});

test("a control plane, which keeps much, has a larger one", onLinux, async (t) => {
  const args = await argumentsOf(t, [], ["ignore", "pipe", "inherit"], ["control", "--listen", "0"]);
  assert.deepEqual(args.slice(0, 2), ["--max-semi-space-size=8", "--heap-growing-percent=100"]);
});

test("a heap that was chosen by hand is kept", onLinux, async (t) => {
  const args = await argumentsOfProxy(t, ["--max-semi-space-size=8"], ["ignore", "pipe", "inherit"]);
  assert.deepEqual(args, ["--max-semi-space-size=8", "-C", "weft-source"]);
});

test("a process with a channel to its parent keeps it", onLinux, async (t) => {
  const args = await argumentsOfProxy(t, [], ["ignore", "pipe", "inherit", "ipc"]);
  assert.deepEqual(args, ["-C", "weft-source"]);
});
