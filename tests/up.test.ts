import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { assertGone, RunningSystem, weft } from "./running-system.ts";

const COUNTER = join(import.meta.dirname, "..", "examples", "counter", "server.ts");

function folder(t: TestContext, description: string, files: Record<string, string> = {}): string {
  const dir = mkdtempSync(join(tmpdir(), "weft-system-"));
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 10 }));
  writeFileSync(join(dir, "weft.yaml"), description);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

test("a service that cannot start ends the system with its reason, and nothing is left", {
  timeout: 120_000,
}, async (t) => {
  const description = `name: bad\nservices:\n  counter: { run: ${COUNTER} }\n  broken: { run: main.ts }\n`;
  const dir = folder(t, description, { "main.ts": '\nthrow new TypeError("no database");\n' });
  const system = new RunningSystem(t, dir);
  const pids: number[] = [];
  await system.event(({ type, unit }) => type === "crashed" && unit === "broken");
  pids.push(...(await system.pids()));
  assert.deepEqual(await system.exit, { status: 1, signal: null });
  const error = system.events.find(({ type }) => type === "error");
  assert.equal(error?.reason, "START_FAILED");
  assert.match(
    String(error?.message),
    /^broken-1 did not start: exit status 1: main\.ts:2: TypeError: no database, 3 times in a row\nwhat it printed: .*broken\.log$/,
  );
  await assertGone(pids);
});

test("a service that never gets healthy ends the system", { timeout: 120_000 }, async (t) => {
  const dir = folder(
    t,
    `name: slow\nservices:\n  hangs: { run: [${process.execPath}, "-e", "setInterval(() => {}, 1000)"], readyTimeoutMs: 1500 }\n`,
  );
  const { status, stderr } = await weft("up", dir, "--listen", "127.0.0.1:0");
  assert.equal(status, 1);
  assert.match(stderr, /^error: hangs-1 is not healthy within 1\.5 s \[START_FAILED\]\n {2}what it printed: /m);
});

test("a port in use is told before anything starts, with its line and another address", async (t) => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const dir = folder(t, `name: x\nservices: { counter: { run: ${COUNTER} } }\ngateway:\n  listen: ${port}\n`);
  const { status, stdout, stderr } = await weft("up", dir);
  assert.equal(status, 1);
  assert.equal(stdout, "");
  assert.match(
    stderr,
    new RegExp(
      `weft\\.yaml:4 gateway\\.listen: 127\\.0\\.0\\.1:${port} is in use .*weft up --listen 127\\.0\\.0\\.1:${port + 1} \\[PORT_IN_USE\\]`,
    ),
  );
});

test("an error in a contract is told with file and line before anything starts", { timeout: 60_000 }, async (t) => {
  const dir = folder(t, `name: x\nservices: { counter: { run: ${COUNTER} } }\ncontracts: proto\n`);
  mkdirSync(join(dir, "proto"));
  writeFileSync(join(dir, "proto", "a.proto"), 'syntax = "proto3";\npackage a;\nmessage A {\n  strin name = 1;\n}\n');
  const { status, stderr } = await weft("up", dir, "--listen", "0");
  assert.equal(status, 1);
  assert.match(stderr, /a\.proto:4:3.*strin.*\[BAD_CONTRACT\]/);
});

test("a service that cannot do without a setting has its first value from the description, and its tags are in the registry", {
  timeout: 120_000,
}, async (t) => {
  const script = `
    import { createServer } from "node:http";
    import { settings } from ${JSON.stringify(join(import.meta.dirname, "..", "src", "index.ts"))};
    const schema = { type: "object", properties: { maxItems: { type: "integer" } }, required: ["maxItems"] };
    const values = await settings(schema);
    createServer((_, answer) => answer.end(String(values.maxItems))).listen(Number(process.env.PORT), "127.0.0.1");
  `;
  const description = {
    name: "firsts",
    services: { orders: { run: "orders.ts", register: "host", protocol: "http1", env: { WEFT_TAGS: "canary" } } },
    settings: { orders: { maxItems: 5 } },
    routes: [
      {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata: { name: "orders" },
        spec: { rules: [{ backendRefs: [{ name: "orders" }] }] },
      },
    ],
  };
  const system = new RunningSystem(t, folder(t, JSON.stringify(description), { "orders.ts": script }));
  const gateway = await system.ready();
  assert.equal(await (await fetch(gateway)).text(), "5");
  const control = (await system.host().status()).control?.replace("http://", "") ?? "";
  const services = await (await fetch(`http://${control}/v1/services`)).json();
  assert.match(JSON.stringify(services), /"metadata":\{"tags":"canary"\}/);
  system.child.kill("SIGINT");
  assert.equal((await system.exit).status, 0);
});

test("a program in any language is given a port, registered when it listens, and called through the gateway", {
  timeout: 120_000,
}, async (t) => {
  const script =
    "require('node:http').createServer((q, s) => s.end('hello from ' + q.url)).listen(process.env.PORT, '127.0.0.1')";
  const description = {
    name: "any",
    services: { legacy: { run: [process.execPath, "-e", script], replicas: 2 } },
    routes: [
      {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata: { name: "legacy" },
        spec: { rules: [{ matches: [{ path: { value: "/old" } }], backendRefs: [{ name: "legacy" }] }] },
      },
    ],
  };
  const system = new RunningSystem(t, folder(t, JSON.stringify(description)));
  const gateway = await system.ready();
  assert.equal(await (await fetch(`${gateway}/old/page`)).text(), "hello from /old/page");
  await system.host().restart("legacy");
  assert.equal((await fetch(`${gateway}/old/page`)).status, 200);
  system.child.kill("SIGINT");
  assert.equal((await system.exit).status, 0);
});

test("when weft up is killed outright, everything it started ends as well", {
  timeout: 120_000,
  skip: process.platform === "win32",
}, async (t) => {
  const dir = folder(t, `name: x\nservices: { counter: { run: ${COUNTER}, replicas: 2 } }\n`);
  const system = new RunningSystem(t, dir);
  await system.ready();
  const pids = await system.pids();
  assert.equal(pids.length, 4);
  system.child.kill("SIGKILL");
  await assertGone(pids);
  // The run file it left behind is known to be stale: it can be started again in the same state folder.
  const again = await weft("ps", "--state", system.state, "-C", dir);
  assert.match(again.stderr, /no system runs/);
});

test("the second signal kills, and the status says so", { timeout: 120_000 }, async (t) => {
  const stubborn =
    "process.on('SIGTERM', () => {}); require('node:net').createServer().listen(process.env.PORT, '127.0.0.1')";
  const dir = folder(
    t,
    JSON.stringify({ name: "x", services: { stubborn: { run: [process.execPath, "-e", stubborn] } } }),
  );
  const system = new RunningSystem(t, dir);
  await system.ready();
  const pids = await system.pids();
  const second = await weft("up", dir, "--state", system.state, "--listen", "0");
  assert.match(second.stderr, /x runs already \(process \d+, .*; stop it with: weft stop .* \[ALREADY_RUNNING\]/);
  system.child.kill("SIGINT");
  await system.event(({ type, unit }) => type === "draining" && unit === "stubborn");
  system.child.kill("SIGINT");
  assert.equal((await system.exit).status, 130);
  await assertGone(pids);
});
