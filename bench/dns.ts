/** `weft dns` against dnsmasq: answers a second over UDP, and CPU an answer, with dnsperf. */

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compare, type Result } from "./lib/compare.ts";
import { cpuMicros, freePort, type Measured, start, which } from "./lib/process.ts";

const root = join(import.meta.dirname, "..");
const weft = join(root, "dist", "cli", "main.js");
const queries = join(tmpdir(), `weft-dns-${process.pid}.txt`);

export async function dns(smoke: boolean): Promise<Result[]> {
  const running: Measured[] = [];
  try {
    const control = await freePort();
    running.push(await start("control plane", control, process.execPath, [weft, "control", "--listen", `${control}`]));
    const env = { WEFT_CONTROL: `127.0.0.1:${control}`, WEFT_SERVICE: "counter" };
    const service = await freePort();
    const script = join(root, "examples", "counter", "server.ts");
    running.push(await start("counter", service, process.execPath, [script], { ...env, PORT: `${service}` }));
    const servers = [await weftDns(control), await dnsmasq()];
    running.push(...servers);
    writeFileSync(queries, "counter.weft A\ncounter.weft AAAA\nnobody.weft A\n");
    const seconds = smoke ? 1 : 3;
    const runs = (figure: (run: Run) => number) =>
      servers.map((server) => ({ name: server.name, run: () => figure(load(server, seconds)) }));
    const rounds = smoke ? 1 : 5;
    const work = "DNS answers over UDP, dnsperf -c 4 -q 100";
    return [
      await compare(
        work,
        "us an answer",
        runs((run) => run.micros),
        [{ peer: "dnsmasq", atMost: 2 }],
        rounds,
      ),
      await compare(
        work,
        "us CPU an answer",
        runs((run) => run.cpuMicros),
        [],
        rounds,
      ),
    ];
  } finally {
    for (const server of running) await server.stop();
  }
}

async function weftDns(control: number): Promise<Measured> {
  const port = await freePort();
  return start("weft", port, process.execPath, [
    weft,
    "dns",
    "--control",
    `127.0.0.1:${control}`,
    "--listen",
    `${port}`,
  ]);
}

async function dnsmasq(): Promise<Measured> {
  const program = which("dnsmasq");
  if (program === null) throw new Error("dnsmasq is not installed (Debian: apt-get install dnsmasq-base)");
  const port = await freePort();
  const names = [
    "--no-resolv",
    "--no-hosts",
    "--local=/weft/",
    "--host-record=counter.weft,127.0.0.1",
    "--local-ttl=5",
  ];
  const at = ["--listen-address=127.0.0.1", "--bind-interfaces", `--port=${port}`];
  return start("dnsmasq", port, program, [
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--pid-file=",
    ...at,
    ...names,
  ]);
}

interface Run {
  readonly micros: number;
  readonly cpuMicros: number;
}

/** Every query must be answered, but for what a full socket buffer loses: one in a thousand. */
function load(server: Measured, seconds: number): Run {
  const program = which("dnsperf");
  if (program === null) throw new Error("dnsperf is not installed (Debian: apt-get install dnsperf)");
  const cpu = cpuMicros(server.pid);
  const args = ["-s", "127.0.0.1", "-p", `${server.port}`, "-d", queries, "-l", `${seconds}`, "-c", "4", "-q", "100"];
  const ran = spawnSync(program, args, { encoding: "utf8", timeout: 60_000 });
  const used = cpuMicros(server.pid) - cpu;
  const [sent, completed] = ["sent", "completed"].map((what) =>
    Number(new RegExp(`Queries ${what}: +(\\d+)`).exec(ran.stdout)?.[1] ?? 0),
  );
  const perSecond = Number(/Queries per second: +([\d.]+)/.exec(ran.stdout)?.[1] ?? 0);
  if (completed === 0 || completed < sent * 0.999)
    throw new Error(`${server.name}: not all was answered\n${ran.stdout}${ran.stderr}`);
  return { micros: 1e6 / perSecond, cpuMicros: used / completed };
}
