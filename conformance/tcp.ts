import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import type { Case, Suite } from "./suite.ts";
import { type RunningSystem, withSystem } from "./system.ts";

/** What is not HTTP, with programs that are not weft's: redis, nginx, openssl, curl, dnsmasq, dig, haproxy. */
export const tcp: Suite = {
  name: "tcp",
  async run() {
    const ports = await Promise.all(Array.from({ length: 8 }, freePort));
    process.env.SUITE_PORTS = ports.join();
    const dir = mkdtempSync(join(tmpdir(), "weft-tcp-"));
    process.env.SUITE_DIR = dir;
    try {
      return await withSystem("conformance/tcp", (system) => cases(system, ports, dir));
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
};

async function cases(system: RunningSystem, ports: readonly number[], dir: string): Promise<Case[]> {
  const [redisPort, tls, names, blob, told1, told2, says1, says2] = ports;
  const done: Case[] = [];
  const started: ChildProcess[] = [];
  const check = async (name: string, what: () => Promise<string>, expected: RegExp) => {
    const found = await what().catch((error) => `failed: ${error.message}`);
    done.push({ name, ok: expected.test(found), detail: found.slice(0, 600) });
  };
  const redis = (...args: string[]) => output("redis-cli", ["-p", `${redisPort}`, ...args]);
  try {
    // --- TCP through the gateway ------------------------------------------------------------------------------------
    await check("redis: a command", () => redis("ping"), /^PONG\n$/);
    await check("redis: 20,000 commands in a pipeline", () => redis("-r", "2000", "echo", "x"), /^(x\n){2000}$/);
    await check(
      "redis-benchmark: 50 connections",
      () => output("redis-benchmark", ["-p", `${redisPort}`, "-n", "5000", "-c", "50", "-q", "-t", "set,get"]),
      /SET: [\d.]+ requests[\s\S]*GET: [\d.]+ requests/,
    );
    await check(
      "explained: a session and its bytes",
      async () => (await fetch(`${(await system.ps()).gatewayAdmin}/decisions?limit=100`)).text(),
      /"request":"TCP redis:\d+".*"carried":\{"sent":\d+,"received":\d+\}/,
    );

    await check(
      "weft explain: a session by its id",
      async () => {
        const page = await fetch(`${(await system.ps()).gatewayAdmin}/decisions?limit=1`);
        const { decisions } = (await page.json()) as { decisions: { decision: { requestId: string } }[] };
        return (await system.weft("explain", decisions[0].decision.requestId)).output;
      },
      /^TCP redis:\d+ {2}-> {2}200 after [\s\S]*route +TCP redis -> redis[\s\S]*carried +[\d.]+ \w+ up, [\d.]+ \w+ down/,
    );

    // --- TLS by server name -----------------------------------------------------------------------------------------
    const curl = (name: string, ...more: string[]) =>
      output("curl", ["-sSk", "-m", "10", ...more, "--resolve", `${name}:${tls}:127.0.0.1`, `https://${name}:${tls}/`]);
    const hello = (name: string) =>
      output("openssl", ["s_client", "-connect", `127.0.0.1:${tls}`, "-servername", name], "");
    await check("curl: TLS to one name", () => curl("a.site.test"), /^site a\.site\.test\n$/);
    await check("curl: TLS by a wildcard", () => curl("b.site.test"), /^site b\.site\.test\n$/);
    await check("curl: HTTP/2 over TLS 1.3", () => curl("a.site.test", "--http2", "--tlsv1.3"), /^site a/);
    await check("curl: TLS 1.2", () => curl("a.site.test", "--tls-max", "1.2"), /^site a/);
    await check("openssl: the server's own certificate", () => hello("a.site.test"), /subject=CN = a\.site\.test/);
    await check("openssl: a name without a route", () => hello("other.test"), /^failed|no peer certificate/);

    // --- UDP --------------------------------------------------------------------------------------------------------
    const dig = (...args: string[]) =>
      output("dig", ["@127.0.0.1", "-p", `${names}`, "+time=2", "+tries=2", "+short", ...args]);
    await check("dig: through a UDP route", () => dig("www.shop.test"), /^192\.0\.2\.1\n$/);
    await check(
      "dig: twenty at once",
      async () => (await Promise.all(Array.from({ length: 20 }, () => dig("v6.test", "AAAA")))).join(""),
      /^(2001:db8::1\n){20}$/,
    );

    // --- the PROXY protocol -----------------------------------------------------------------------------------------
    await check(
      "nginx is told who connects (v1)",
      () => output("curl", ["-sS", "-m", "10", "--interface", "127.0.0.7", `http://127.0.0.1:${told1}/`]),
      new RegExp(`^told 127\\.0\\.0\\.7 to ${told1}\n$`),
    );
    await check(
      "haproxy is told who connects (v2)",
      () => output("curl", ["-sS", "-m", "10", "--interface", "127.0.0.8", `http://127.0.0.1:${told2}/`]),
      new RegExp(`^told 127\\.0\\.0\\.8 to ${told2}\n$`),
    );
    for (const version of ["v1", "v2"]) {
      const front = version === "v1" ? says1 : says2;
      const config = join(dir, `${version}.cfg`);
      const send = version === "v1" ? "send-proxy" : "send-proxy-v2-ssl-cn";
      writeFileSync(
        config,
        `defaults\n  mode tcp\n  timeout client 10s\n  timeout server 10s\n  timeout connect 2s\n` +
          `listen front\n  bind 127.0.0.1:${front}\n  server gw ${system.gateway.host}:${system.gateway.port} ${send} source 127.0.0.9\n`,
      );
      started.push(spawn("haproxy", ["-db", "-f", config], { stdio: "ignore" }));
      await check(
        `haproxy says who connects (${version})`,
        () =>
          output("curl", [
            "-sS",
            "-m",
            "10",
            "--retry",
            "20",
            "--retry-connrefused",
            "--retry-delay",
            "0",
            "--interface",
            "127.0.0.6",
            `http://127.0.0.1:${front}/`,
          ]),
        /^from 127\.0\.0\.6\n$/,
      );
    }
    await check(
      "who does not say it where it must is refused",
      () =>
        output("curl", [
          "-sS",
          "-m",
          "10",
          "--interface",
          "127.0.0.9",
          `http://${system.gateway.host}:${system.gateway.port}/`,
        ]),
      /^failed.*(reset|Empty reply|Recv failure)/is,
    );
    await check(
      "what others say who are not trusted is not believed",
      () =>
        output("curl", [
          "-sS",
          "-m",
          "10",
          "--haproxy-protocol",
          `http://${system.gateway.host}:${system.gateway.port}/`,
        ]),
      /^(?!from)/,
    );

    // --- much, and slow readers --------------------------------------------------------------------------------------
    const gatewayPid = (await system.ps()).instances.find(({ service }) => service === "gateway")?.pid ?? 0;
    await check("1 GB down, a slow reader", async () => `${await down(blob, GIGABYTE, true)}`, /^1000000000$/);
    await check("1 GB up", async () => up(blob, GIGABYTE), /^1000000000\n$/);
    await check(
      "memory of the gateway stays under 150 MB",
      async () => `${peakMegabytes(gatewayPid)} MB`,
      /^(\d{1,2}|1[0-4]\d) MB$/,
    );

    // --- sidecars ----------------------------------------------------------------------------------------------------
    const [, resolver] = readFileSync(join(dir, "dns"), "utf8").split(":");
    const virtual = async (name: string): Promise<string> => {
      const query = ["@127.0.0.1", "-p", resolver, "+time=1", "+tries=1", "+short", name];
      for (let tries = 0; tries < 60; tries++) {
        const found = /^127\.\d+\.\d+\.\d+$/m.exec(await output("dig", query).catch(() => ""))?.[0];
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      throw new Error(`${name} has no address`);
    };
    const address = await virtual("cache.weft").catch(() => "none");
    const cache = (...args: string[]) => output("redis-cli", ["-h", address, "-p", "6379", ...args]);
    await check("redis: a virtual address, two sidecars", () => cache("set", "name", "weft"), /^OK\n$/);
    await check("redis: what was set is there", () => cache("get", "name"), /^weft\n$/);
    await check("redis: 2,000 commands through two sidecars", () => cache("-r", "2000", "echo", "x"), /^(x\n){2000}$/);

    await check(
      "dig: datagrams to a virtual address, by a sidecar",
      async () =>
        output("dig", [
          `@${await virtual("names.weft")}`,
          "-p",
          "6379",
          "+time=2",
          "+tries=2",
          "+short",
          "www.shop.test",
        ]),
      /^192\.0\.2\.1\n$/,
    );
    const proxied = async (...args: string[]) =>
      output("curl", ["-sSk", "-m", "10", "-x", `http://${readFileSync(join(dir, "proxy"), "utf8")}`, ...args]);
    await check(
      "curl: TLS to a service by CONNECT, through a sidecar",
      () => proxied("https://site-a.weft/"),
      /^site a\.site\.test\n$/,
    );
    await check(
      "curl: HTTP/2 over TLS, by CONNECT",
      () => proxied("--http2", "-w", "%{http_version}", "https://site-b.weft/"),
      /^site b\.site\.test\n2$/,
    );
    await check(
      "strict mutual TLS: nobody reaches it without an identity",
      async () => {
        const { instances } = await system.ps();
        const beside = instances.find(({ id }) => id === "cache-1-sidecar") as { address?: string } | undefined;
        const port = /:(\d+)$/.exec(beside?.address ?? "")?.[1] ?? "no port";
        return output("redis-cli", ["-h", "127.0.0.1", "-p", port, "ping"]);
      },
      /Server closed the connection|reset by peer/,
    );

    // --- kill --------------------------------------------------------------------------------------------------------
    const victim = (await system.ps()).instances.find(({ service }) => service === "redis");
    if (victim === undefined) throw new Error("there is no redis");
    process.kill(victim.pid, "SIGKILL");
    // Until the kernel has ended it, connections to it are taken, and then cut.
    while (exists(victim.pid)) await new Promise((resolve) => setTimeout(resolve, 5));
    await check(
      "kill -9 of an endpoint: every new connection finds the other",
      async () => {
        let text = "";
        for (let i = 0; i < 30; i++) text += await redis("ping");
        return text;
      },
      /^(PONG\n){30}$/,
    );
  } finally {
    for (const child of started) child.kill("SIGTERM");
  }
  return done;
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const GIGABYTE = 1_000_000_000;

async function down(port: number, bytes: number, slow: boolean): Promise<number> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.write(`down ${bytes}\n`);
  let received = 0;
  let chunks = 0;
  socket.on("data", (chunk: Buffer) => {
    received += chunk.length;
    if (!slow || ++chunks % 500 !== 0) return;
    socket.pause();
    setTimeout(() => socket.resume(), 10);
  });
  await once(socket, "end");
  return received;
}

async function up(port: number, bytes: number): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const chunk = Buffer.alloc(262_144, 7);
  let answer = "";
  socket.on("data", (text: Buffer) => {
    answer += text;
  });
  socket.write("up\n");
  for (let left = bytes; left > 0; left -= Math.min(left, chunk.length)) {
    if (!socket.write(chunk.subarray(0, Math.min(left, chunk.length)))) await once(socket, "drain");
  }
  socket.end();
  await once(socket, "end");
  return answer;
}

function peakMegabytes(pid: number): number {
  return Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_000);
}

function output(file: string, args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(file, args, { timeout: 60_000, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${stdout}${stderr}${error.message}`.slice(0, 500)));
    });
    if (input !== undefined) child.stdin?.end(input);
  });
}
