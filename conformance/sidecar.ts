import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Case, Suite } from "./suite.ts";
import { type RunningSystem, withSystem } from "./system.ts";
import { tool } from "./tools.ts";

/**
 * Programs that are not weft's in one mesh, each behind a sidecar: services of Python's standard library, grpc-go and websockets; callers curl, requests,
 * grpc-go, java.net.http. None of them knows of weft; they find the sidecar by HTTP_PROXY, or call its address with a service's name as host.
 */
export const sidecar: Suite = {
  name: "sidecar",
  tools: ["python", "grpc-peer"],
  async run() {
    const dir = mkdtempSync(join(tmpdir(), "weft-sidecar-"));
    const tools = { SUITE_DIR: dir, SUITE_PYTHON: tool("python"), SUITE_GRPC_PEER: tool("grpc-peer") };
    Object.assign(process.env, tools);
    try {
      return await withSystem("conformance/sidecar", (system) => cases(system, dir));
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
};

async function cases(system: RunningSystem, dir: string): Promise<Case[]> {
  const done: Case[] = [];
  const check = async (name: string, what: () => Promise<string>, expected: RegExp | ((found: string) => boolean)) => {
    const found = await what().catch((error) => `failed: ${error.message}`);
    const ok = expected instanceof RegExp ? expected.test(found) : expected(found);
    done.push({ name, ok, detail: found.slice(0, 600) });
  };
  const web = JSON.parse(readFileSync(join(dir, "web.json"), "utf8")) as Record<string, string>;
  const stranger = JSON.parse(readFileSync(join(dir, "stranger.json"), "utf8")) as Record<string, string>;
  const here = web.WEFT_SIDECAR;
  const [host, port] = here.split(":");
  const python = (file: string, ...args: string[]) =>
    output(tool("python"), [join(import.meta.dirname, "sidecar", file), ...args], web);
  const java = (...args: string[]) =>
    output("java", [join(import.meta.dirname, "sidecar", "Caller.java"), host, port, ...args], web);
  const curl = (...args: string[]) => output("curl", ["-sS", "-m", "20", ...args], web);
  const go = (target: string, authority: string, count: number, ...more: string[]) =>
    output(tool("grpc-peer"), ["client", target, authority, `${count}`, ...(more.length > 0 ? more : ["5000"])], web);
  const attempts = (id: string): number => statSync(join(dir, `attempts-${id}`), { throwIfNoEntry: false })?.size ?? 0;

  // --- three ways in -------------------------------------------------------------------------------------------------
  const answered = /"version": "v[12]".*"path": "\/hello", "host": "shop\.weft", "peer": "spiffe:\/\/outsiders\/web"/;
  await check("curl: HTTP_PROXY", () => curl("http://shop.weft/hello"), answered);
  await check(
    "curl: the address, with a host",
    () => curl("--noproxy", "*", "-H", "host: shop.weft", `http://${here}/hello`),
    answered,
  );
  await check("curl: CONNECT, HTTP/1.1 inside", () => curl("--proxytunnel", "http://shop.weft/hello"), answered);
  await check(
    "curl: CONNECT, HTTP/2 inside",
    () => curl("--proxytunnel", "--http2-prior-knowledge", "http://shop.weft/hello"),
    answered,
  );
  await check(
    "curl: HTTP/2 to the address",
    () => curl("--noproxy", "*", "--http2-prior-knowledge", "-H", "host: shop.weft", `http://${here}/hello`),
    answered,
  );
  await check("curl: a version by its name", () => curl("http://v2.shop.weft/hello"), /"version": "v2"/);
  await check(
    "curl: a large body",
    () => curl("--data-binary", `@${process.execPath}`, "-H", "expect:", "http://shop.weft/put"),
    /"length": \d{8,}/,
  );
  await check(
    "curl: what is forged is not believed",
    () =>
      curl(
        "-H",
        "x-weft-peer: spiffe://outsiders/admin",
        "-H",
        "x-forwarded-client-cert: URI=x",
        "http://shop.weft/hello",
      ),
    /"peer": "spiffe:\/\/outsiders\/web"/,
  );
  await check(
    "requests: HTTP_PROXY",
    () => python("requests-client.py", "5", "GET", "http://shop.weft/hello"),
    /^200 v\d: \d/,
  );
  await check(
    "requests: POST",
    () => python("requests-client.py", "5", "POST", "http://shop.weft/hello"),
    /^200 v\d: \d/,
  );
  await check("java.net.http: ProxySelector", () => java("5", "http://shop.weft/hello"), /^200 v\d: \d/);
  await check(
    "grpc-go: HTTPS_PROXY",
    () => go("dns:///greeter.weft:50051", "", 4),
    /^v\d spiffe:\/\/outsiders\/web: \d/,
  );
  await check(
    "grpc-go: the address, with an authority",
    () => go(`passthrough:///${here}`, "greeter.weft", 4),
    /^v\d spiffe:\/\/outsiders\/web: \d/,
  );
  await check(
    "grpc-go: the address alone: the contract says who",
    () => go(`passthrough:///${here}`, "", 4),
    /^v\d spiffe:\/\/outsiders\/web: \d/,
  );
  await check("websockets: an echo", () => python("chat-client.py", here, "ws://chat.weft/room"), /^3\n3\n250000\n$/);
  await check("curl: nothing else is let out", () => curl("http://example.invalid/"), /EGRESS_DENIED/);

  // --- policy ----------------------------------------------------------------------------------------------------------
  await check(
    "split: three to one",
    () => python("requests-client.py", "200", "GET", "http://shop.weft/split"),
    (found) => {
      const v2 = Number(/200 v2: (\d+)/.exec(found)?.[1] ?? 0);
      return /200 v1: \d+/.test(found) && v2 > 20 && v2 < 85;
    },
  );
  await check(
    "split: gRPC, in halves",
    () => go(`passthrough:///${here}`, "greeter.weft", 200),
    (found) => {
      const v1 = Number(/v1 \S*: (\d+)/.exec(found)?.[1] ?? 0);
      return v1 > 60 && v1 < 140;
    },
  );
  await check(
    "retries: as often as policy says",
    () => curl("http://shop.weft/hello?status=503&id=often"),
    /"version"/,
  );
  await check("retries: counted at the application", async () => `${attempts("often")}`, /^3$/);
  await check(
    "retries: POST only once",
    () => curl("-X", "POST", "http://shop.weft/hello?status=503&id=once"),
    /"version"/,
  );
  await check("retries: POST counted", async () => `${attempts("once")}`, /^1$/);
  await check(
    "retries: gRPC",
    () => go(`passthrough:///${here}`, "greeter.weft", 1, "5000", "fail", "14"),
    /^Unavailable: 1/,
  );
  await check(
    "deadline: of the service's policy",
    () => curl("http://shop.weft/hello?sleep=5"),
    /"reason":"(DEADLINE|TIMEOUT)/,
  );
  await check(
    "deadline: of the caller",
    () => go(`passthrough:///${here}`, "greeter.weft", 1, "200", "sleep", "3000"),
    /^DeadlineExceeded: 1/,
  );
  await check("authorization: by identity, let pass", () => curl("http://shop.weft/private"), /"version"/);
  await check(
    "authorization: by identity, refused",
    () => output("curl", ["-sS", "http://shop.weft/private"], stranger),
    /"status":403/,
  );
  await check("the gateway makes REST's callers meet the same service", () => gatewayAnswers(system), /^\d{3}$/);

  // --- what goes wrong -------------------------------------------------------------------------------------------------
  const restart = await duringCalls(here, async () => void (await system.weft("restart", "shop@v1")));
  await check("drain: a restart of both replicas fails no call", async () => restart, /^0 of \d{2,}$/);
  const killed = await duringCalls(here, async () => {
    const { instances } = await system.ps();
    const one = instances.find(({ id }) => /^shop-v1-\d+-sidecar$/.test(id));
    if (one === undefined) throw new Error(`no sidecar of shop@v1 among ${instances.map(({ id }) => id).join(", ")}`);
    process.kill(one.pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 3_000));
  });
  await check("kill -9 of a sidecar: no idempotent call fails", async () => killed, /^0 of \d{2,}$/);
  return done;
}

/** How many of the calls that are made while something happens fail. */
async function duringCalls(sidecar: string, what: () => Promise<void>): Promise<string> {
  const [host, port] = sidecar.split(":");
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let failed = 0;
  let total = 0;
  let going = true;
  const failures: string[] = [];
  const caller = async (): Promise<void> => {
    while (going) {
      total++;
      const problem = await new Promise<string>((resolve) => {
        const call = request({ host, port, path: "/hello", headers: { host: "shop.weft" }, agent }, (response) => {
          let body = "";
          response.on("data", (chunk) => (body += String(chunk)));
          response.on("end", () => resolve(response.statusCode === 200 ? "" : `${response.statusCode} ${body}`));
          response.on("error", (error) => resolve(error.message));
        });
        call.on("error", (error) => resolve(error.message));
        call.end();
      });
      if (problem !== "") {
        failed++;
        failures.push(problem);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const callers = [caller(), caller(), caller(), caller()];
  await what().finally(() => (going = false));
  await Promise.all(callers);
  agent.destroy();
  return `${failed} of ${total}${failures.length > 0 ? `: ${failures[0]}` : ""}`;
}

function gatewayAnswers({ gateway }: RunningSystem): Promise<string> {
  return output(
    "curl",
    ["-sS", "-o", "/dev/null", "-w", "%{http_code}", `http://${gateway.host}:${gateway.port}/`],
    {},
  );
}

function output(program: string, args: string[], env: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: 60_000, env: { PATH: process.env.PATH, ...env } }, (error, stdout, stderr) => {
      if (error !== null && stdout === "") reject(new Error(`${error.message} ${stderr}`));
      else resolve(stdout);
    });
  });
}
