import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { createHost } from "./host.ts";
import { createHostClient } from "./host-client.ts";
import { startHostServer } from "./host-server.ts";
import { resolveSystem } from "./resolve-system.ts";
import type { ControlLine, Host, HostEvent } from "./types.ts";

/** Stands for weft's own commands: says where it listens, ends when it is told to. */
const OWN = `
  process.send({ type: "weft:listening", url: "http://127.0.0.1:" + (process.argv.includes("gateway") ? 2 : 1), admin: "" });
  process.on("SIGTERM", () => process.exit(0));
  process.on("message", () => {});
`;
/** A service that listens on PORT and says so. */
const SERVICE = `
  console.log("serving " + process.env.WEFT_INSTANCE);
  require("node:net").createServer((socket) => socket.on("error", () => {})).listen(process.env.PORT, "127.0.0.1");
  process.on("SIGTERM", () => process.exit(0));
`;

/** A host whose control plane is in this process: what is registered is healthy at once, or when `registering` resolves. */
function hosted(
  t: TestContext,
  services: Record<string, unknown>,
  line: Partial<ControlLine> = {},
  registering: (host: Host) => Promise<void> = async () => {},
) {
  const dir = mkdtempSync(join(tmpdir(), "weft-host-"));
  const events: HostEvent[] = [];
  const waiting: (() => void)[] = [];
  const registered = new Set<string>();
  const host: Host = createHost({
    system: resolveSystem({ name: "test", services }, "weft.config.ts", dir, () => null),
    stateDir: join(dir, ".weft"),
    weft: [process.execPath, "-e", OWN, "--"],
    nodeArguments: [],
    load: 0,
    clock: systemClock,
    random: { next: () => 1 },
    async openControl(_address, onEndpoints) {
      return {
        publish: async () => {},
        async register(endpoint) {
          const { id } = endpoint;
          assert.ok(!registered.has(id), `${id} is registered already`);
          registered.add(id);
          try {
            await registering(host);
          } catch (thrown) {
            registered.delete(id);
            throw thrown;
          }
          onEndpoints({ full: false, changed: [{ ...endpoint, health: "healthy" }], removed: [] });
          return {
            async release() {
              registered.delete(id);
              onEndpoints({ full: false, changed: [], removed: [{ id }] });
            },
          };
        },
        close: async () => {},
        ...line,
      };
    },
    onEvent(event) {
      events.push(event);
      for (const wake of waiting.splice(0)) wake();
    },
  });
  t.after(async () => {
    host.stop();
    host.stop();
    if (host.phase !== "idle") await host.done;
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  });
  async function event(matches: (event: HostEvent) => boolean): Promise<HostEvent> {
    for (;;) {
      const found = events.find(matches);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  }
  return { host, events, event, dir };
}

/** It says nothing when it is asked what it speaks: it is told. */
const service = (more: object = {}) => ({ run: [process.execPath, "-e", SERVICE], protocol: "tcp", ...more });

test("a system starts in order, keeps logs and stops in reverse order", async (t) => {
  const { host, events, event, dir } = hosted(t, {
    users: service({ replicas: 2 }),
    orders: service({ needs: ["users"] }),
  });
  host.start();
  await event(({ type }) => type === "system-ready");
  const ready = events.filter(({ type }) => type === "ready").map((each) => "unit" in each && each.unit);
  assert.deepEqual(ready, ["control", "users", "users", "orders", "gateway"]);
  assert.equal(host.gateway, "http://127.0.0.1:2");
  assert.ok(host.instances().every(({ state, pid, address }) => state === "ready" && pid > 0 && address !== ""));
  host.stop();
  assert.deepEqual(await host.done, { failure: null });
  const exited = events.filter(({ type }) => type === "exited").map((each) => "unit" in each && each.unit);
  assert.deepEqual(exited, ["gateway", "orders", "users", "users", "control"]);
  assert.match(readFileSync(join(dir, ".weft", "logs", "users.log"), "utf8"), /^\S+Z users-\d serving users-\d$/m);
});

test("a crashed instance comes back and says why it ended", async (t) => {
  // Not before it was ready, however long that takes to be seen.
  const crash = "process.on('SIGUSR2', () => { console.error('Error: out of yarn'); process.exit(7) });";
  const { host, events, event } = hosted(t, { users: service({ run: [process.execPath, "-e", crash + SERVICE] }) });
  host.start();
  await event(({ type }) => type === "system-ready");
  process.kill(host.instances()[0].pid, "SIGUSR2");
  const crashed = await event(({ type }) => type === "crashed");
  assert.equal("text" in crashed && crashed.text, "exit status 7: Error: out of yarn");
  await event(() => events.filter((each) => each.type === "ready" && each.id === "users-1").length === 2);
  assert.equal(host.instances()[0].restarts, 1);
});

test("a registration that gets through when its process is gone is taken back, and the next process registers after it", async (t) => {
  const registering = Promise.withResolvers<void>();
  const through = Promise.withResolvers<void>();
  let times = 0;
  const { host, event } = hosted(t, { users: service() }, {}, () => {
    if (++times > 1) return Promise.resolve();
    registering.resolve();
    return through.promise;
  });
  host.start();
  await registering.promise;
  process.kill(host.instances()[0].pid, "SIGKILL");
  await event(({ type }) => type === "crashed");
  await event(() => host.instances()[0].state === "starting");
  through.resolve();
  await event(({ type }) => type === "system-ready");
  assert.deepEqual([times, host.instances()[0].restarts, host.instances()[0].health], [2, 1, "healthy"]);
});

test("a process that cannot be registered is ended, with that as its reason, before another is started", async (t) => {
  let first = 0;
  const { host, event } = hosted(t, { users: service() }, {}, async (host) => {
    if (first !== 0) return;
    first = host.instances()[0].pid;
    throw new WeftError("unavailable", "the control plane does not answer");
  });
  host.start();
  const crashed = await event(({ type }) => type === "crashed");
  assert.equal("text" in crashed && crashed.text, "the control plane does not answer");
  assert.throws(() => process.kill(first, 0), { code: "ESRCH" });
  await event(({ type }) => type === "system-ready");
});

test("resources that the control plane refuses end the start with its words", async (t) => {
  const publish = () => Promise.reject(new WeftError("invalid_argument", "routes[0]: no such backend"));
  const { host } = hosted(t, { users: service() }, { publish });
  host.start();
  assert.deepEqual(await host.done, { failure: "routes[0]: no such backend" });
});

test("the host's interface answers those who know the token, and nobody else", async (t) => {
  const { host, event } = hosted(t, { users: service() });
  const idle = { p50Ms: Number.NaN, p99Ms: Number.NaN, errors: 0 };
  const server = await startHostServer(host, "secret", ({ service }) =>
    service === "users" ? { perSecond: 3, ...idle } : null,
  );
  t.after(() => server.close());
  host.start();
  await event(({ type }) => type === "system-ready");
  const run = {
    system: "test",
    pid: process.pid,
    host: server.url,
    token: "secret",
    control: null,
    gateway: null,
    gatewayAdmin: null,
    startedAt: "",
  };
  const client = createHostClient(run);
  const refused = (reason: string) => (error: unknown) => error instanceof WeftError && error.reason === reason;

  await assert.rejects(createHostClient({ ...run, token: "guess" }).status(), refused("BAD_TOKEN"));
  assert.equal((await fetch(`${server.url}/v1/stop`, { method: "POST" })).status, 401);
  assert.equal(host.phase, "ready");

  const before = (await client.status()).instances.find(({ service }) => service === "users");
  const calls = (await client.status()).instances.map((instance) => [instance.service, instance.calls?.perSecond]);
  assert.deepEqual(calls.sort(), [
    ["control", undefined],
    ["gateway", undefined],
    ["users", 3],
  ]);
  await client.restart("users");
  const after = (await client.status()).instances.find(({ service }) => service === "users");
  assert.deepEqual([before?.id, after?.id], ["users-1", "users-2"]);
  await assert.rejects(
    client.restart("usres"),
    (error: WeftError) => error.code === "not_found" && /did you mean "users"\?/.test(error.message),
  );

  let logs = "";
  for await (const text of client.logs("users", { lines: 100, follow: false })) logs += text;
  assert.match(logs, /users-1 serving users-1\n/);
  assert.match(logs, /users-2 serving users-2\n/);

  await client.stop();
  assert.deepEqual(await host.done, { failure: null });
});

test("those who follow a log get new lines, until they go", async (t) => {
  const { host, event } = hosted(t, { users: service() });
  const server = await startHostServer(host, "secret");
  t.after(() => server.close());
  const run = {
    system: "test",
    pid: 0,
    host: server.url,
    token: "secret",
    control: null,
    gateway: null,
    gatewayAdmin: null,
    startedAt: "",
  };
  let seen = "";
  const follow = (async () => {
    for await (const text of createHostClient(run).logs("users", { lines: 0, follow: true })) {
      seen += text;
      if (seen.includes("hello")) return;
    }
  })();
  const log = { type: "log", id: "users-1", unit: "users", stream: "out", line: "hello" } as const;
  const feeding = setInterval(() => server.onEvent(log), 20);
  await follow;
  clearInterval(feeding);
  assert.match(seen, /^\S+Z users-1 hello\n/);
  host.start();
  await event(({ type }) => type === "system-ready");
});
