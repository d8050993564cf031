import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LogFile } from "./log-file.ts";

test("a log keeps at most twice its size, the newest lines last", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "weft-log-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "logs", "a.log");
  const log = new LogFile(path, { maxBytes: 100 });
  for (let i = 0; i < 50; i++) log.write(`line ${i}`);
  log.close();
  log.write("after the end");
  assert.ok(statSync(path).size <= 100);
  assert.ok(statSync(`${path}.1`).size <= 100);
  const kept = (readFileSync(`${path}.1`, "utf8") + readFileSync(path, "utf8")).trim().split("\n");
  assert.equal(kept.at(-1), "line 49");
  for (const [i, line] of kept.entries()) assert.equal(line, `line ${50 - kept.length + i}`);
});

test("a log that is opened again goes on where it ended", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "weft-log-"));
  t.after(() => rmSync(dir, { recursive: true }));
  for (const line of ["one", "two"]) {
    const log = new LogFile(join(dir, "a.log"));
    log.write(line);
    log.close();
  }
  assert.equal(readFileSync(join(dir, "a.log"), "utf8"), "one\ntwo\n");
});
