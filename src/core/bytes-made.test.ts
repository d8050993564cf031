import assert from "node:assert/strict";
import { test } from "node:test";
import { countBytesMade } from "./bytes-made.ts";

test("arrays that are counted do not pile up", () => {
  let most = 0;
  let last: Uint8Array | null = null;
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 4_000; i++) {
    last = new Uint8Array(65_536);
    countBytesMade(last.length);
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  assert.ok(last !== null && most < 40_000_000, `${most} bytes at the peak`);
});

test("the engine's collector is shown to nobody", () => {
  for (let i = 0; i < 20; i++) countBytesMade(1_000_000);
  if (!process.execArgv.includes("--expose-gc")) assert.equal("gc" in globalThis, false);
});
