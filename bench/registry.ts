import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tool } from "../conformance/tools.ts";
import { compare, type Result } from "./lib/compare.ts";
import { cpuMicros, freePort, type Measured, residentMb, start } from "./lib/process.ts";
import { type BareLine, openLines } from "./registry/lines.ts";
import { type Asked, CONNECTIONS, type Done } from "./registry/work.ts";

/**
 * The embedded registry (`weft control --data`: endpoints and settings in SQLite, leases in memory) beside Consul and etcd, each in a process of its own that keeps what it is
 * told on disk, asked over 100 connections: registrations a second; then what only weft is asked for here: memory of 100,000 instances, their heartbeats, and one change for
 * 10,000 subscribers.
 */
export async function registry(smoke: boolean): Promise<Result[]> {
  return [await registrations(smoke), ...(await instances(smoke)), await fanOut(smoke)];
}

async function registrations(smoke: boolean): Promise<Result> {
  const folders: string[] = [];
  const folder = (): string => {
    const made = mkdtempSync(join(tmpdir(), "weft-bench-registry-"));
    folders.push(made);
    return made;
  };
  const servers = [await weftControl(folder()), await consul(folder()), await etcd(folder())];
  const client = new Client();
  let from = 0;
  const run = (kind: "weft" | "consul" | "etcd", count: number, inFlight: number): Promise<number> => {
    const address = `127.0.0.1:${servers.find(({ name }) => name === kind)?.port}`;
    const asked = { address, count, from: (from += count), inFlight };
    // Which of them it was is lost where the three differ in nothing else.
    return client.ask({ kind, ...asked } as Asked).then(({ ms }) => (ms * 1_000) / count);
  };
  const scale = smoke ? 0.02 : 1;
  try {
    const result = await compare(
      `registrations over ${CONNECTIONS} connections`,
      "us a registration",
      [
        { name: "weft", run: () => run("weft", 10_000 * scale, 8) },
        { name: "weft, one at a time", run: () => run("weft", 10_000 * scale, 1) },
        { name: "consul", run: () => run("consul", 3_000 * scale, 1) },
        { name: "etcd", run: () => run("etcd", 3_000 * scale, 1) },
      ],
      [
        { peer: "consul", atMost: 0.5 },
        { peer: "etcd", atMost: 1 },
      ],
      smoke ? 1 : 4, // with the warm-up, what one line may hold
    );
    // Who waits for each answer, as clients of Consul do, is promised the same.
    const { "weft, one at a time": alone, consul: theirs } = result.medians;
    const ratio = alone / theirs;
    const claim = { peer: "consul, one at a time a connection", ratio, atMost: 0.5, kept: ratio <= 0.5 };
    return { ...result, claims: [...result.claims, claim] };
  } finally {
    client.end();
    for (const server of servers) await server.stop();
    for (const made of folders) rmSync(made, { recursive: true, force: true });
  }
}

/** 100,000 instances, 1,000 a connection. */
async function instances(smoke: boolean): Promise<Result[]> {
  const data = mkdtempSync(join(tmpdir(), "weft-bench-registry-"));
  const server = await weftControl(data);
  const client = new Client();
  const count = smoke ? 2_000 : 100_000;
  const seconds = smoke ? 1 : 30;
  try {
    await client.ask({ kind: "weft", address: `127.0.0.1:${server.port}`, count, from: 0, inFlight: 8 });
    await pause(1_000);
    const memory = residentMb(server.pid);
    const before = cpuMicros(server.pid);
    const { ms } = await client.ask({ kind: "beat", seconds });
    const cores = (cpuMicros(server.pid) - before) / (ms * 1_000);
    return [
      promised(`${count} instances: resident memory of the control plane`, "MB", memory, 500),
      promised(`${count} instances: heartbeats every 10 s, one message a connection`, "cores", cores, 0.5),
    ];
  } finally {
    client.end();
    await server.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

/** One endpoint's change, from its registration until the last of 10,000 subscribers has it decoded. */
async function fanOut(smoke: boolean): Promise<Result> {
  const data = mkdtempSync(join(tmpdir(), "weft-bench-registry-"));
  const server = await weftControl(data);
  const address = `127.0.0.1:${server.port}`;
  const client = new Client();
  const { lines, close } = await openLines(address, 1, 1);
  const each = smoke ? 2 : 100;
  try {
    await client.ask({ kind: "subscribe", address, each });
    const late: number[] = [];
    for (let round = 0; round < (smoke ? 2 : 10); round++) {
      const port = 20_000 + round;
      const heard = await client.listen({ kind: "hear", port });
      const at = Date.now();
      await register(lines[0], port);
      for (const time of (await heard()).latencies ?? []) late.push(time - at);
    }
    late.sort((a, b) => a - b);
    const p99 = late[Math.min(late.length - 1, Math.floor(late.length * 0.99))];
    return promised(
      `one change for ${each * CONNECTIONS} subscribers on ${CONNECTIONS} connections, p99`,
      "ms",
      p99,
      1_000,
    );
  } finally {
    await close();
    client.end();
    await server.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

function register(line: BareLine, port: number): Promise<void> {
  const endpoint = { id: "changes", service: "service-0", host: "10.0.0.1", port };
  return line.ask((requestId) => ({ case: "register", value: { requestId, endpoint, ttlMs: 60_000 } }));
}

function promised(work: string, unit: string, value: number, most: number): Result {
  const claims = [{ peer: "promised", ratio: value / most, atMost: 1, kept: value <= most }];
  return { work, unit, medians: { weft: value, promised: most }, claims };
}

const weft = join(import.meta.dirname, "..", "dist", "cli", "main.js");

async function weftControl(data: string): Promise<Measured> {
  const port = await freePort();
  return start("weft", port, process.execPath, [weft, "control", "--listen", `${port}`, "--data", data]);
}

async function consul(data: string): Promise<Measured> {
  const [port, grpc, dns, server, lan, wan] = await Promise.all(Array.from({ length: 6 }, freePort));
  const ports = {
    "http-port": port,
    "grpc-port": grpc,
    "dns-port": dns,
    "server-port": server,
    "serf-lan-port": lan,
    "serf-wan-port": wan,
  };
  const flags = Object.entries(ports).flatMap(([name, value]) => [`-${name}`, `${value}`]);
  const one = [
    "agent",
    "-server",
    "-bootstrap-expect=1",
    "-data-dir",
    data,
    "-bind",
    "127.0.0.1",
    "-client",
    "127.0.0.1",
  ];
  const started = await start("consul", port, tool("consul" as never), [...one, "-grpc-tls-port", "-1", ...flags], {});
  for (let tries = 0; tries < 600; tries++) {
    const leader = await fetch(`http://127.0.0.1:${port}/v1/status/leader`)
      .then((answer) => answer.text())
      .catch(() => "");
    if (leader.length > 4) return started;
    await pause(50);
  }
  throw new Error("Consul finds no leader");
}

async function etcd(data: string): Promise<Measured> {
  const [port, peer] = [await freePort(), await freePort()];
  const client = `http://127.0.0.1:${port}`;
  const self = `http://127.0.0.1:${peer}`;
  const at = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", self];
  const cluster = ["--initial-advertise-peer-urls", self, "--initial-cluster", `default=${self}`];
  return start("etcd", port, tool("etcd"), ["--data-dir", data, "--log-level", "error", ...at, ...cluster]);
}

/** The process that asks. */
class Client {
  readonly #child: ChildProcess = fork(join(import.meta.dirname, "registry", "client.ts"), [], {
    execArgv: process.execArgv,
  });

  async ask(asked: Asked): Promise<{ ms: number }> {
    this.#child.send(asked);
    const { ms = 0 } = await this.#answer();
    return { ms };
  }

  /** Resolves when it listens, with how to wait for what it hears. */
  async listen(asked: Asked): Promise<() => Promise<Done>> {
    this.#child.send(asked);
    await this.#answer();
    return () => this.#answer();
  }

  end(): void {
    this.#child.kill();
  }

  #answer(): Promise<Done> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null): void => reject(new Error(`the client ended with ${code}`));
      this.#child.once("exit", ended);
      this.#child.once("message", (done: Done) => {
        this.#child.off("exit", ended);
        if (done.failure === undefined) resolve(done);
        else reject(new Error(done.failure));
      });
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
