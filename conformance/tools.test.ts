import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

test("processes that ask for a tool at once get the one that one of them installs, also where another has ended in the middle", async (t) => {
  const home = mkdtempSync(join(tmpdir(), "weft-tools-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  const go = `#!/bin/sh\necho built >> "${home}/log"\nsleep 0.3\nprintf tool > "$GOBIN/grpcurl"\n`;
  writeFileSync(join(home, "go"), go, { mode: 0o755 });
  const module = JSON.stringify(join(import.meta.dirname, "tools.ts"));
  const script = `import { readFileSync } from "node:fs"; import { tool } from ${module}; process.stderr.write(readFileSync(tool("grpcurl")));`;
  const env = { ...process.env, WEFT_TOOLS: home, PATH: `${home}:${process.env.PATH}` };
  const ask = (): Promise<string> =>
    new Promise((resolve) => {
      const args = ["--no-warnings", "--input-type=module-typescript", "-e", script];
      execFile(process.execPath, args, { env }, (_error, _stdout, stderr) => resolve(stderr));
    });
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), ["tool", "tool", "tool"]);
  assert.equal(readFileSync(join(home, "log"), "utf8"), "built\n");
  rmSync(join(home, "bin", "grpcurl"));
  const ended = execFile(process.execPath, ["-e", ""]);
  await new Promise((resolve) => ended.once("exit", resolve));
  writeFileSync(join(home, "bin", "grpcurl.lock"), `${ended.pid}`);
  assert.equal(await ask(), "tool");
  assert.equal(readFileSync(join(home, "log"), "utf8"), "built\nbuilt\n");
});
