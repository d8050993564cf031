import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { weftCommand } from "../system.ts";
import { tool } from "../tools.ts";
import { WeftProcess } from "../weft-process.ts";

/** Consul's own command line against `weft control --consul`. */

const folder = mkdtempSync(join(tmpdir(), "weft-consul-api-"));
const application = createServer((_, response) => response.end("hello")).listen(0, "127.0.0.1");
let plane: WeftProcess;
let address: string;
let port: number;
before(async () => {
  plane = new WeftProcess(["control", "--listen", "127.0.0.1:0", "--consul", "127.0.0.1:0", "--system", "shop"]);
  [, address] = await plane.line(/^Consul's API at (\S+);/);
  port = (application.address() as { port: number }).port;
});
after(async () => {
  await plane.stop();
  application.close();
  rmSync(folder, { recursive: true });
});

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  return new Promise((resolve) => {
    const options = { timeout: 60_000, env: { ...process.env, CONSUL_HTTP_ADDR: address, ...env } };
    execFile(program, args, options, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
}
const consul = (...args: string[]) => run(tool("consul"), args);
const curl = (path: string, ...args: string[]) => run("curl", ["-s", "-i", `http://${address}${path}`, ...args]);

test("consul services register and deregister, by flags", async () => {
  assert.match(
    await consul("services", "register", "-name=web", `-port=${port}`, "-tag=primary", "-tag=v1", "-meta=version=v1"),
    /^Registered service: web\n$/,
  );
  assert.match(await consul("catalog", "services"), /^web\n$/);
  assert.match(await consul("catalog", "services", "-tags"), /^web +primary,v1\n$/);
  assert.match(
    await consul("catalog", "nodes"),
    /^Node +ID +Address +DC\nweft-shop +[0-9a-f]{8} +127\.0\.0\.1 +dc1\n$/,
  );
  assert.match(await consul("catalog", "nodes", "-service=web", "-detailed"), /weft-shop +[0-9a-f-]{36} +127\.0\.0\.1/);
  assert.match(await consul("catalog", "datacenters"), /^dc1\n$/);
  assert.match(await consul("services", "deregister", "-id=web"), /^Deregistered service: web\n$/);
  assert.match(await consul("catalog", "services"), /^No services match/);
});

test("consul services register and deregister, by files of HCL and JSON", async () => {
  const hcl = join(folder, "web.hcl");
  writeFileSync(
    hcl,
    `service {
      id = "web-1"
      name = "web"
      port = ${port}
      tags = ["hcl"]
      meta = { version = "v2" }
      weights { passing = 3, warning = 1 }
      checks = [
        { id = "beat", name = "beat", ttl = "30s", status = "passing", deregister_critical_service_after = "5m" },
        { id = "page", name = "page", http = "http://localhost:${port}/", interval = "1s", timeout = "500ms" },
      ]
    }`,
  );
  const json = join(folder, "db.json");
  writeFileSync(
    json,
    JSON.stringify({ service: { name: "db", port: 5432, address: "10.0.0.9", meta: { protocol: "tcp" } } }),
  );
  assert.match(await consul("services", "register", hcl, json), /^Registered service: web\nRegistered service: db\n$/);
  const [{ Service, Checks }] = JSON.parse((await curl("/v1/health/service/web?passing")).split("\r\n\r\n")[1]);
  assert.deepEqual(
    [Service.ID, Service.Meta, Service.Weights],
    ["web-1", { version: "v2" }, { Passing: 3, Warning: 1 }],
  );
  assert.deepEqual(
    Checks.map((check: { CheckID: string; Status: string; Type: string }) => [check.CheckID, check.Status, check.Type]),
    [
      ["beat", "passing", "ttl"],
      ["page", "passing", "http"],
    ],
  );
  assert.match(await consul("services", "deregister", hcl), /^Deregistered service: web-1\n$/);
  assert.match(await consul("services", "deregister", "-id", "db"), /^Deregistered service: db\n$/);
});

test("consul members, consul info's agent, and who leads", async () => {
  assert.match(await consul("members"), /^Node +Address +Status +Type[^\n]*\nweft-shop +127\.0\.0\.1:0 +alive +server/);
  assert.match(await curl("/v1/status/leader"), /"127\.0\.0\.1:\d+"$/);
});

test("consul watch hears of a service by blocking queries", async () => {
  const watch = spawn(
    tool("consul"),
    ["watch", "-type=service", "-service=api", "-passingonly=true", "sh", "-c", "cat; echo"],
    { env: { ...process.env, CONSUL_HTTP_ADDR: address }, stdio: ["ignore", "pipe", "inherit"] },
  );
  const seen: string[] = [];
  let left = "";
  watch.stdout.setEncoding("utf8").on("data", (text) => {
    const lines = (left + text).split("\n");
    left = lines.pop() ?? "";
    for (const line of lines.filter((one) => one.startsWith("["))) {
      const ids = JSON.parse(line).map((entry: { Service: { ID: string } }) => entry.Service.ID);
      seen.push(ids.join(","));
    }
  });
  const until = async (ids: string) => {
    for (const end = performance.now() + 10_000; seen.at(-1) !== ids; ) {
      assert.ok(performance.now() < end, `consul watch never said "${ids}": ${JSON.stringify(seen)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  try {
    await until("");
    await consul("services", "register", "-name=api", "-id=api-1", `-port=${port}`);
    await until("api-1");
    await consul("maint", "-enable", "-service=api-1", "-reason=disk");
    await until("");
    await consul("maint", "-disable", "-service=api-1");
    await until("api-1");
    await consul("services", "deregister", "-id=api-1");
    await until("");
  } finally {
    watch.kill("SIGKILL");
  }
});

test("curl: a blocking query answers at a change, with its index", async () => {
  const index = /x-consul-index: (\d+)/i.exec(await curl("/v1/health/service/slow"))?.[1] ?? "";
  const started = performance.now();
  const waiting = curl(`/v1/health/service/slow?index=${index}&wait=50s`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await consul("services", "register", "-name=slow", `-port=${port}`);
  const answer = await waiting;
  assert.ok(performance.now() - started < 25_000, "it was answered when its time was over");
  assert.match(answer, /"ServiceID":"slow"/);
  assert.ok(Number(/x-consul-index: (\d+)/i.exec(answer)?.[1]) > Number(index));
  const empty = await curl(`/v1/health/service/nothing?index=1&wait=300ms`);
  assert.match(empty, /^HTTP\/1\.1 200[\s\S]*\r\n\r\n\[\]$/);
  await consul("services", "deregister", "-id=slow");
});

test("what does not act is refused, and the command line shows why", async () => {
  assert.match(await consul("services", "register", "-name=Web_1", "-port=80"), /Name: must be a DNS label/);
  assert.match(
    await consul("services", "register", "-name=web", "-kind=mesh-gateway", "-port=80"),
    /Kind is not supported here/,
  );
  assert.match(await consul("services", "deregister", "-id=nobody"), /Unknown service ID "nobody"/);
  assert.match(await consul("kv", "get", "a"), /configuration is in `weft settings`/);
  assert.match(await consul("catalog", "services"), /^No services match/);
});

test("who has no token changes nothing where the operator alone may", async () => {
  const token = "0123456789abcdef-operator";
  const guarded = new WeftProcess(["control", "--listen", "127.0.0.1:0", "--consul", "127.0.0.1:0"], {
    WEFT_OPERATOR_TOKEN: token,
  });
  try {
    const [, at] = await guarded.line(/^Consul's API at (\S+);/);
    const register = (env: NodeJS.ProcessEnv) =>
      run(tool("consul"), ["services", "register", "-name=web", "-port=80"], { CONSUL_HTTP_ADDR: at, ...env });
    assert.match(await register({}), /403[\s\S]*a token is needed as X-Consul-Token/);
    assert.match(await register({ CONSUL_HTTP_TOKEN: "guess" }), /403/);
    assert.match(await register({ CONSUL_HTTP_TOKEN: token }), /^Registered service: web\n$/);
    const [, control] = await guarded.line(/WEFT_CONTROL=(\S+)/);
    const weft = (...args: string[]) =>
      run(process.execPath, [...weftCommand, ...args, "--control", control], { WEFT_OPERATOR_TOKEN: token });
    const made = (role: string) => weft("token", "admin", "--role", role).then((text) => text.trim());
    assert.match(await register({ CONSUL_HTTP_TOKEN: await made("reader") }), /403/);
    assert.match(await register({ CONSUL_HTTP_TOKEN: await made("publisher") }), /^Registered service: web\n$/);
    assert.match(await weft("audit"), /Consul\/agent\/service\/register/);
    const list = () => run(tool("consul"), ["catalog", "services"], { CONSUL_HTTP_ADDR: at });
    assert.match(await list(), /^web\n$/, "reading is for everybody on the machine");
  } finally {
    await guarded.stop();
  }
});
