import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { connect, createRuntime, serve, service } from "../../src/index.ts";
import { tool } from "../tools.ts";
import { WeftProcess } from "../weft-process.ts";

/** Consul's Go client, and those who call through weft what was registered by Consul's command line. */

let plane: WeftProcess;
let control: string;
let address: string;
before(async () => {
  plane = new WeftProcess(["control", "--listen", "127.0.0.1:0", "--consul", "127.0.0.1:0"]);
  [, control] = await plane.line(/WEFT_CONTROL=(\S+)/);
  [, address] = await plane.line(/^Consul's API at (\S+);/);
});
after(async () => {
  await plane.stop();
});

function peer(...args: string[]) {
  const child = spawn(tool("consul-peer"), args, {
    env: { ...process.env, CONSUL_HTTP_ADDR: address },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines: string[] = [];
  createInterface(child.stdout).on("line", (line) => lines.push(line));
  const until = async (line: string) => {
    for (const end = performance.now() + 10_000; lines.at(-1) !== line; ) {
      assert.ok(performance.now() < end, `it never printed ${line}: ${lines.join(" ")}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return { child, until };
}

const consul = (...args: string[]) =>
  new Promise<string>((resolve) => {
    const env = { ...process.env, CONSUL_HTTP_ADDR: address };
    execFile(tool("consul"), args, { env, timeout: 60_000 }, (_error, stdout, stderr) => resolve(stdout + stderr));
  });

test("Consul's Go client registers with a TTL check, and watches", async () => {
  const watcher = peer("watch", "beats");
  const one = peer("serve", "beats-1", "beats", "8101");
  const two = peer("serve", "beats-2", "beats", "8102");
  try {
    const both = "[beats-1=127.0.0.1:8101 beats-2=127.0.0.1:8102]";
    await watcher.until(both);
    two.child.kill("SIGSTOP");
    const stopped = performance.now();
    await watcher.until("[beats-1=127.0.0.1:8101]");
    const took = performance.now() - stopped;
    console.log(
      `measured a TTL check of 1 s was missed for ${Math.round(took)} ms until the service was out of rotation`,
    );
    assert.ok(took < 3_000);
    two.child.kill("SIGCONT");
    await watcher.until(both);
    one.child.stdin.end();
    await watcher.until("[beats-2=127.0.0.1:8102]");
    await one.until("deregistered");
    two.child.stdin.end();
    await watcher.until("[]");
  } finally {
    for (const { child } of [watcher, one, two]) child.kill("SIGKILL");
  }
});

test("a typed client calls what Consul's command line registered", async () => {
  const counter = service(Counter, { count: ({ count }) => ({ count: count + 1n }), async *watch() {} });
  const server = await serve(counter, { port: 0, runtime: createRuntime({ env: {} }), quiet: true });
  const runtime = createRuntime({ env: { WEFT_CONTROL: control } });
  try {
    await consul("services", "register", "-name=counter", `-port=${server.port}`, "-meta=protocol=h2c");
    const client = connect(Counter, { runtime, service: "counter" });
    assert.equal((await client.count({ count: 41n })).count, 42n);
    await consul("services", "deregister", "-id=counter");
  } finally {
    await runtime.close();
    await server.stop(0);
  }
});

test("a gateway routes to what Consul's command line registered, and not to what it deregistered", async () => {
  const application = createServer((_, response) => response.end("hello")).listen(0, "127.0.0.1");
  await once(application, "listening");
  const gateway = new WeftProcess(["gateway", "--control", control, "--listen", "127.0.0.1:0", "--drain", "100"]);
  try {
    const { port } = application.address() as { port: number };
    const route = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "web" },
      spec: { rules: [{ backendRefs: [{ name: "web" }] }] },
    };
    const published = await fetch(`http://${control}/v1/revisions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ resources: JSON.stringify([route]), author: "test", reason: "test" }),
    });
    assert.equal(published.status, 200, await published.text());
    const [, at] = await gateway.line(/^gateway at (?:http:\/\/)?(127\.0\.0\.1:\d+)/);
    await consul("services", "register", "-name=web", `-port=${port}`);
    const answers = async (status: number) => {
      for (const end = performance.now() + 10_000; ; ) {
        const answer = await fetch(`http://${at}/`);
        const text = await answer.text();
        if (answer.status === status) return text;
        assert.ok(performance.now() < end, `the gateway answers ${answer.status}: ${text}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    assert.equal(await answers(200), "hello");
    await consul("services", "deregister", "-id=web");
    await answers(503);
  } finally {
    await gateway.stop();
    application.close();
  }
});
