import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuMicros, type Measured, which } from "./process.ts";

/** One run of a load generator against a server: what a call cost that server. */
export interface Run {
  readonly calls: number;
  readonly cpuMicrosPerCall: number;
  readonly callsPerSecond: number;
}

const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
const framed = join(folder, "count.bin");
writeFileSync(framed, Buffer.from([0, 0, 0, 0, 2, 8, 1])); // CountRequest{count: 1}

/** What a call costs beside the server that it is sent to, and to whom it is addressed there. */
export interface Addressed {
  readonly authority: string;
  /** Process ids. */
  readonly also: readonly number[];
}

/** gRPC unary calls with h2load; every one must be answered with status 2xx and end. */
export function grpcLoad(server: Measured, calls: number, clients: number, streams: number, to?: Addressed): Run {
  const args = [
    "-n",
    `${calls}`,
    "-c",
    `${clients}`,
    "-m",
    `${streams}`,
    "-d",
    framed,
    "-H",
    "content-type: application/grpc",
    "-H",
    "te: trailers",
    ...(to === undefined ? [] : [`--connect-to=127.0.0.1:${server.port}`]),
    `http://${to?.authority ?? `127.0.0.1:${server.port}`}/counter.v1.Counter/Count`,
  ];
  const pids = [server.pid, ...(to?.also ?? [])];
  return measured(server, pids, "h2load", args, (output) => {
    const done = /(\d+) total, \d+ started, \d+ done, (\d+) succeeded/.exec(output);
    if (done === null || Number(done[2]) !== calls)
      throw new Error(`${server.name}: not every call succeeded\n${output}`);
    return calls;
  });
}

/** HTTP/1.1 GETs with wrk for `seconds`. */
export function httpLoad(server: Measured, seconds: number, connections: number, path: string): Run {
  return measured(
    server,
    [server.pid],
    "wrk",
    // What is judged is CPU. After the 2 s that wrk allows by itself a call fails that met a machine which stood still.
    [
      "-t",
      "1",
      "-c",
      `${connections}`,
      "-d",
      `${seconds}s`,
      "--timeout",
      "30s",
      `http://127.0.0.1:${server.port}${path}`,
    ],
    (output) => {
      const done = /(\d+) requests in/.exec(output);
      if (done === null || /Non-2xx|Socket errors/.test(output))
        throw new Error(`${server.name}: errors under load\n${output}`);
      return Number(done[1]);
    },
  );
}

function measured(
  server: Measured,
  pids: readonly number[],
  tool: string,
  args: string[],
  count: (output: string) => number,
): Run {
  const program = which(tool);
  if (program === null)
    throw new Error(
      `${tool} is not installed (Debian: apt-get install ${tool === "h2load" ? "nghttp2-client" : tool})`,
    );
  const used = (): number => pids.reduce((sum, pid) => sum + cpuMicros(pid), 0);
  const cpu = used();
  const began = performance.now();
  const ran = spawnSync(program, args, { encoding: "utf8", timeout: 120_000 });
  const seconds = (performance.now() - began) / 1_000;
  if (ran.status !== 0) throw new Error(`${tool} failed against ${server.name}: ${ran.stderr || ran.stdout}`);
  const calls = count(ran.stdout);
  return { calls, cpuMicrosPerCall: (used() - cpu) / calls, callsPerSecond: calls / seconds };
}
