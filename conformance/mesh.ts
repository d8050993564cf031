import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Case, Suite } from "./suite.ts";
import { type PsReport, type RunningSystem, weftCommand, withSystem } from "./system.ts";
import { tool } from "./tools.ts";

/**
 * A Python, a Go, a Java and a TypeScript service in one mesh, one of them behind a stock Envoy: the example's table of results; the death of a sidecar, of an Envoy and of
 * the control plane under load; programs that know nothing in a network namespace whose traffic is intercepted.
 */
export const mesh: Suite = {
  name: "mesh",
  async run() {
    process.env.WEFT_ENVOY = tool("envoy");
    const cases = await withSystem("examples/polyglot", async (system) => [
      ...(await table(system)),
      ...(await deaths(system)),
      ...(await replacements(system)),
    ]);
    return [...cases, ...(await intercepted())];
  },
};

const root = join(import.meta.dirname, "..");

async function table(system: RunningSystem): Promise<Case[]> {
  const ps = JSON.stringify(await system.ps());
  const url = `http://${system.gateway.host}:${system.gateway.port}`;
  const { output } = await run("node", [join(root, "examples/polyglot/check.ts"), url], { WEFT_PS: ps });
  const [head, ...rows] = output.split("\n");
  const columns = head.split(/ {2,}/);
  const cases: Case[] = [];
  for (const row of rows.slice(0, 4)) {
    const [service, ...cells] = row.split(/ {2,}(?=ok |WRONG)/);
    for (const [i, cell] of cells.entries())
      cases.push({ name: `${service.trim()}: ${columns[i + 1]}`, ok: cell.startsWith("ok"), detail: cell });
  }
  if (cases.length < 16)
    cases.push({ name: "the table has four services and four columns", ok: false, detail: output.slice(0, 2_000) });
  cases.push({
    name: "every cell is right, and gRPC",
    ok: /every cell is as it should be/.test(output),
    detail: output.slice(-300),
  });
  return cases;
}

/** Calls that are idempotent, from outside through the gateway and between services, while something dies. */
async function deaths(system: RunningSystem): Promise<Case[]> {
  const cases: Case[] = [];
  const kills: [what: string, id: string, path: string][] = [
    ["a sidecar", "catalog-v1-1-sidecar", "/catalog/hello"],
    ["a sidecar, called by a service", "catalog-v1-2-sidecar", "/orders/call?to=catalog&count=10"],
    ["an Envoy", "pricing-1-sidecar", "/pricing/hello"],
    ["an Envoy, called by a service", "pricing-2-sidecar", "/orders/call?to=pricing&count=10"],
    ["the control plane", "control-1", "/orders/call?to=catalog&count=10"],
  ];
  for (const [what, id, path] of kills) {
    const victim = (await system.ps()).instances.find((instance) => instance.id === id);
    if (victim === undefined) {
      cases.push({ name: `kill -9 of ${what}`, ok: false, detail: `there is no ${id}` });
      continue;
    }
    const load = startLoad(system.gateway.port, path);
    await pause(700);
    process.kill(victim.pid, "SIGKILL");
    const back = await until(20_000, async () => {
      const now = (await system.ps().catch((): PsReport | null => null))?.instances.find(
        (instance) => instance.id === id,
      );
      return now !== undefined && now.pid !== victim.pid && now.state === "ready";
    });
    await pause(1_500);
    const { calls, failed } = await load();
    const detail = `${calls} calls; ${failed.slice(0, 3).join("; ")}`;
    cases.push({ name: `kill -9 of ${what}: no idempotent call fails`, ok: calls > 20 && failed.length === 0, detail });
    cases.push({ name: `kill -9 of ${what}: it is started again, alone`, ok: back });
    // Replicas are all there again before the next one dies.
    await until(15_000, async () => (await system.ps()).instances.every(({ state }) => state === "ready"));
    await pause(2_500);
  }
  return cases;
}

/** Instances and sidecars that are replaced one after the other, under load. */
async function replacements(system: RunningSystem): Promise<Case[]> {
  const cases: Case[] = [];
  for (const [unit, path] of [
    ["pricing", "/orders/call?to=pricing&count=5"],
    ["catalog@v2", "/catalog/hello"],
    ["orders", "/orders/hello"],
  ]) {
    const load = startLoad(system.gateway.port, path);
    const { status, output } = await system.weft("restart", unit);
    const { calls, failed } = await load();
    const detail = `${output.trim()}; ${calls} calls; ${failed.slice(0, 3).join("; ")}`;
    cases.push({
      name: `weft restart ${unit}: no call fails`,
      ok: status === 0 && calls > 20 && failed.length === 0,
      detail,
    });
  }
  return cases;
}

/** Four callers, one call after the other each. Ends when it is called: how many there were, and what failed. */
function startLoad(port: number, path: string): () => Promise<{ calls: number; failed: string[] }> {
  const agent = new Agent({ keepAlive: true });
  const failed: string[] = [];
  let calls = 0;
  let stopped = false;
  const worker = async (): Promise<void> => {
    while (!stopped) {
      const answer = await ask(port, path, agent);
      calls++;
      const inner = /"statuses":\{([^}]*)\}/.exec(answer.body)?.[1];
      if (answer.status !== 200) failed.push(`${answer.status} ${answer.body.slice(0, 150)}`);
      else if (inner !== undefined && !/^"200":\d+$/.test(inner)) failed.push(`inner ${inner}`);
      await pause(5);
    }
  };
  const all = Promise.all([worker(), worker(), worker(), worker()]);
  return async () => {
    stopped = true;
    await all;
    agent.destroy();
    return { calls, failed };
  };
}

function ask(port: number, path: string, agent: Agent): Promise<{ status: number; body: string }> {
  return new Promise((resolve) => {
    get({ host: "127.0.0.1", port, path, agent, timeout: 20_000 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", (error) => resolve({ status: 0, body: error.message }));
    }).on("error", (error) => resolve({ status: 0, body: error.message }));
  });
}

// --- a network namespace -----------------------------------------------------------------------------------------------

const NETNS = "weft-mesh";
const HOST_SIDE = "10.213.77.1";
const CLIENT_SIDE = "10.213.77.2";

/** The service on this machine, its callers in the namespace, with an interception and a resolver that is not there. */
async function intercepted(): Promise<Case[]> {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return [{ name: "interception (Linux, as root)", ok: true, detail: "left out here" }];
  const dir = mkdtempSync(join(tmpdir(), "weft-mesh-"));
  const children: ChildProcess[] = [];
  const start = (command: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess => {
    const child = spawn(command[0], command.slice(1), {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    return child;
  };
  const weft = (...args: string[]): string[] => [process.execPath, ...weftCommand, ...args];
  try {
    await network();
    mkdirSync(`/etc/netns/${NETNS}`, { recursive: true });
    writeFileSync(`/etc/netns/${NETNS}/resolv.conf`, "nameserver 10.99.99.99\n");
    writeFileSync(join(dir, "app.py"), APP);
    writeFileSync(join(dir, "echo.py"), ECHO);
    // What it is about is interception: nobody here has a token.
    await said(start(weft("control", "--listen", `${HOST_SIDE}:17070`, "--plain")), /control plane/);
    await said(start(["python3", join(dir, "app.py"), "127.0.0.1", "17080"]), /listening/);
    await said(start(["python3", join(dir, "app.py"), HOST_SIDE, "17081"]), /listening/);
    await said(start(["python3", join(dir, "echo.py"), HOST_SIDE, "17082"]), /listening/);
    const at = ["--control", `${HOST_SIDE}:17070`];
    await said(
      start(
        weft("sidecar", "--service", "orders", "--app", "127.0.0.1:17080", "--listen", `${HOST_SIDE}:17090`, ...at),
      ),
      /orders at/,
    );
    const ways = [
      "--transparent",
      "127.0.0.1:15001",
      "--dns",
      "127.0.0.1:15053",
      "--resolver",
      "none",
      "--gid",
      "1337",
    ];
    await said(
      start([
        "ip",
        "netns",
        "exec",
        NETNS,
        ...weft("sidecar", "--service", "web", "--app", "127.0.0.1:9", ...at, ...ways),
      ]),
      /web at/,
    );
    const up = ["intercept", "up", "--netns", NETNS, "--outbound", "15001", "--dns", "15053"];
    return await interceptedCases(dir, weft, up);
  } finally {
    await run(process.execPath, [...weftCommand, "intercept", "down", "--netns", NETNS]);
    for (const child of children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, "exit");
      child.kill("SIGTERM");
      const cut = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await gone;
      clearTimeout(cut);
    }
    await run("ip", ["netns", "del", NETNS]);
    await run("ip", ["link", "del", "weftmesh0"]);
    rmSync(`/etc/netns/${NETNS}`, { recursive: true, force: true });
    rmSync(dir, { recursive: true, force: true });
  }
}

async function interceptedCases(dir: string, weft: (...args: string[]) => string[], up: string[]): Promise<Case[]> {
  const cases: Case[] = [];
  const inside = (...command: string[]) => run("ip", ["netns", "exec", NETNS, ...command]);
  const command = (...args: string[]) => run(weft(...args)[0], weft(...args).slice(1));
  const check = (name: string, output: string, expected: RegExp): void =>
    void cases.push({ name: `intercepted: ${name}`, ok: expected.test(output), detail: output.slice(-400) });

  const curl = (...args: string[]) => inside("curl", "-sS", "-m", "10", ...args);
  check("without rules nothing is found", (await curl("http://orders.weft/")).output, /resolve|timed out/i);
  check("up", (await command(...up)).output, /intercepted by nft/);
  check("up a second time", (await command(...up)).output, /intercepted by nft/);
  check("curl, by name", (await curl("http://orders.weft/a")).output, /answer \/a/);
  check("curl, at any port", (await curl("http://orders.weft:7777/b")).output, /answer \/b/);
  check(
    "curl, HTTP to an address outside of the mesh",
    (await curl(`http://${HOST_SIDE}:17081/c`)).output,
    /answer \/c/,
  );
  check("curl, a service that nobody is", (await curl("http://nobody.weft/")).output, /NO_HEALTHY_ENDPOINT/);
  const python = `import urllib.request; print(urllib.request.urlopen("http://orders.weft/d", timeout=10).read().decode())`;
  check("Python", (await inside("python3", "-c", python)).output, /answer \/d/);
  const raw = `import socket; s = socket.create_connection(("${HOST_SIDE}", 17082), 10); s.sendall(b"\\x00raw"); print(s.recv(100))`;
  check(
    "bytes that are no HTTP, to where they were to go",
    (await inside("python3", "-c", raw)).output,
    /echo \\x00raw/,
  );
  writeFileSync(join(dir, "main.go"), GO);
  const built = await run("go", ["build", "-o", join(dir, "client"), join(dir, "main.go")]);
  check("Go", built.status === 0 ? (await inside(join(dir, "client"))).output : built.output, /200 answer \/e/);
  check(
    "status counts",
    (await command("intercept", "status", "--netns", NETNS)).output,
    /virtual \S+\s+[1-9]\d* connection/,
  );
  check("down", (await command("intercept", "down", "--netns", NETNS)).output, /nothing is intercepted any more/);
  check("nothing is left", (await inside("nft", "list", "ruleset")).output, /^\s*$/);
  check("down a second time", (await command("intercept", "down", "--netns", NETNS)).output, /nothing was intercepted/);
  check(
    "a namespace that is not there",
    (await command("intercept", "status", "--netns", "weft-none")).output,
    /there is no network namespace/,
  );
  return cases;
}

async function network(): Promise<void> {
  const commands = [
    ["netns", "add", NETNS],
    ["-n", NETNS, "link", "set", "lo", "up"],
    ["link", "add", "weftmesh0", "type", "veth", "peer", "name", "weftmesh1", "netns", NETNS],
    ["addr", "add", `${HOST_SIDE}/24`, "dev", "weftmesh0"],
    ["link", "set", "weftmesh0", "up"],
    ["-n", NETNS, "addr", "add", `${CLIENT_SIDE}/24`, "dev", "weftmesh1"],
    ["-n", NETNS, "link", "set", "weftmesh1", "up"],
    ["-n", NETNS, "route", "add", "default", "via", HOST_SIDE],
  ];
  for (const command of commands) {
    const { status, output } = await run("ip", command);
    if (status !== 0) throw new Error(`ip ${command.join(" ")}: ${output}`);
  }
}

/** Resolves once a child prints what is waited for. */
function said(child: ChildProcess, what: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let printed = "";
    const timer = setTimeout(() => reject(new Error(`nothing like ${what} within 30 s: ${printed}`)), 30_000);
    child.stdout?.setEncoding("utf8").on("data", (chunk) => {
      printed += chunk;
      if (!what.test(printed)) return;
      clearTimeout(timer);
      resolve();
    });
    child.once("exit", (code) => reject(new Error(`it ended with ${code}: ${printed}`)));
  });
}

function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 90_000, env: { ...process.env, ...env } }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : 1, output: stdout + stderr }),
    );
  });
}

async function until(ms: number, done: () => Promise<boolean>): Promise<boolean> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await done().catch(() => false)) return true;
    await pause(300);
  }
  return false;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const APP = `
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"answer {self.path}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
print("listening", flush=True)
server.serve_forever()
`;

const ECHO = `
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"echo " + connection.recv(100))
    connection.close()
`;

const GO = `package main

import (
	"fmt"
	"io"
	"net/http"
)

func main() {
	answer, err := http.Get("http://orders.weft/e")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(answer.Body)
	fmt.Println(answer.StatusCode, string(body))
}
`;
