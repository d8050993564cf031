import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");

/** Starts node on sources; resolves with what `pattern` finds in its first line. */
async function start(
  args: string[],
  env: NodeJS.ProcessEnv,
  pattern: RegExp,
): Promise<{ child: ChildProcess; found: string }> {
  const child = spawn(process.execPath, ["-C", "weft-source", ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(child.stdout ?? assert.fail(), "data");
  return { child, found: pattern.exec(String(line))?.[0] ?? assert.fail(String(line)) };
}

test("a script that finds a service through the control plane ends by itself when its calls have", {
  timeout: 60_000,
}, async () => {
  const control = await start(["src/cli/main.ts", "control", "--listen", "127.0.0.1:0"], {}, /127\.0\.0\.1:\d+/);
  const env = { WEFT_CONTROL: control.found, PORT: "0" };
  const serving = `
    import { serve } from "weftmesh";
    import { counter } from "./examples/counter/service.ts";
    console.log((await serve(counter)).address);
  `;
  const server = await start(["--input-type=module-typescript", "-e", serving], env, /127\.0\.0\.1:\d+/);
  try {
    const calling = `
      import { connect } from "weftmesh";
      import { Counter } from "./examples/counter/gen/counter/v1/counter.ts";
      console.log(String((await connect(Counter).count({ count: 41n })).count));
    `;
    const script = await start(["--input-type=module-typescript", "-e", calling], env, /\d+/);
    assert.equal(script.found, "42");
    if (script.child.exitCode === null) assert.deepEqual(await once(script.child, "exit"), [0, null]);
    else assert.equal(script.child.exitCode, 0);
    server.child.kill("SIGTERM");
    assert.deepEqual(await once(server.child, "exit"), [0, null]);
  } finally {
    server.child.kill("SIGKILL");
    control.child.kill("SIGKILL");
  }
});
