/** The data plane against Envoy and nginx: gRPC proxied h2c to h2c, HTTP/1.1 proxied, and the memory it holds after many requests. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tool } from "../conformance/tools.ts";
import { HEAP_ARGUMENTS } from "../src/cli/heap.ts";
import { compare, median, type Result } from "./lib/compare.ts";
import { grpcLoad, httpLoad } from "./lib/load.ts";
import { freePort, type Measured, residentMb, start, which } from "./lib/process.ts";
import { envoyConfig } from "./peers/envoy.ts";
import { nginxConfig } from "./peers/nginx.ts";

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));

export async function grpcProxy(smoke: boolean): Promise<Result[]> {
  const running: Measured[] = [];
  try {
    const backends: number[] = [];
    for (let i = 0; i < 2; i++) {
      const port = await freePort();
      running.push(
        await start(`backend ${i}`, port, process.execPath, [join(root, "examples", "counter", "server.ts")], {
          PORT: `${port}`,
        }),
      );
      backends.push(port);
    }
    const proxies = [await weft(backends, true), await envoy(backends, true)];
    running.push(...proxies);
    const calls = smoke ? 20_000 : 200_000;
    const compared = await compare(
      "gRPC proxied, h2c to h2c, h2load -c 8 -m 32",
      "us CPU a call",
      proxies.map((proxy) => ({ name: proxy.name, run: () => grpcLoad(proxy, calls, 8, 32).cpuMicrosPerCall })),
      [{ peer: "envoy", atMost: 1 / 5 }],
      smoke ? 1 : 5,
    );
    return [compared, memory(proxies[0], smoke)];
  } finally {
    for (const server of running) await server.stop();
  }
}

/** What deciding costs: the default policy set on top of a bare forward, in terms of what Envoy needs for a proxied call. */
export async function policyCost(smoke: boolean): Promise<Result[]> {
  const running: Measured[] = [];
  try {
    const backends = [];
    for (let i = 0; i < 2; i++) {
      const port = await freePort();
      const script = join(root, "examples", "counter", "server.ts");
      running.push(await start(`backend ${i}`, port, process.execPath, [script], { PORT: `${port}` }));
      backends.push(port);
    }
    const port = await freePort();
    const script = join(import.meta.dirname, "peers", "bare-gateway.mjs");
    // Under the same heap as weft proxy gives itself: what is compared is policy.
    const bare = await start("bare forward", port, process.execPath, [
      ...HEAP_ARGUMENTS,
      script,
      `${port}`,
      ...backends.map(String),
    ]);
    const proxies = [await weft(backends, true), bare, await envoy(backends, true)];
    running.push(...proxies);
    const calls = smoke ? 20_000 : 200_000;
    const { work, unit, medians, rounds } = await compare(
      "the default policy set, gRPC proxied, h2load -c 8 -m 32",
      "us CPU a call",
      proxies.map((proxy) => ({ name: proxy.name, run: () => grpcLoad(proxy, calls, 8, 32).cpuMicrosPerCall })),
      [],
      smoke ? 1 : 11,
    );
    // A difference of two figures that are close: within each round, where what drifts has drifted for both.
    const ratios = (rounds ?? []).map((round) => (round.weft - round["bare forward"]) / round.envoy);
    const ratio = median(ratios);
    return [
      {
        work,
        unit,
        medians,
        claims: [{ peer: "envoy, beyond a bare forward", ratio, atMost: 0.06, kept: ratio <= 0.06 }],
      },
    ];
  } finally {
    for (const server of running) await server.stop();
  }
}

/** After a million requests in all. */
function memory(proxy: Measured, smoke: boolean): Result {
  if (!smoke) grpcLoad(proxy, 1_000_000, 8, 32);
  const mb = residentMb(proxy.pid);
  return {
    work: smoke ? "memory of the proxy after the run" : "memory of the proxy after 1 million requests more",
    unit: "MB resident",
    medians: { weft: mb, limit: 110 },
    claims: [{ peer: "limit", ratio: mb / 110, atMost: 1, kept: mb <= 110 }],
  };
}

export async function httpProxy(smoke: boolean): Promise<Result[]> {
  const running: Measured[] = [];
  try {
    const backends: number[] = [];
    for (let i = 0; i < 2; i++) {
      const backend = await nginx(`backend ${i}`, []);
      running.push(backend);
      backends.push(backend.port);
    }
    const proxies = [await weft(backends, false), await envoy(backends, false), await nginx("nginx", backends)];
    running.push(...proxies);
    const compared = await compare(
      "HTTP/1.1 proxied, 64 connections",
      "us CPU a call",
      proxies.map((proxy) => ({
        name: proxy.name,
        run: () => httpLoad(proxy, smoke ? 1 : 4, 64, "/v1/count").cpuMicrosPerCall,
      })),
      [
        { peer: "envoy", atMost: 1 / 2 },
        { peer: "nginx", atMost: 1.8 },
      ],
      smoke ? 1 : 5,
    );
    return [compared];
  } finally {
    for (const server of running) await server.stop();
  }
}

async function weft(backends: readonly number[], http2: boolean): Promise<Measured> {
  const port = await freePort();
  const args = [
    join(root, "dist", "cli", "main.js"),
    "proxy",
    "--listen",
    `127.0.0.1:${port}`,
    ...backends.flatMap((to) => ["--to", `127.0.0.1:${to}`]),
    ...(http2 ? ["--h2"] : []),
  ];
  return start("weft", port, process.execPath, args);
}

async function envoy(backends: readonly number[], http2: boolean): Promise<Measured> {
  const program = tool("envoy");
  const port = await freePort();
  const file = join(folder, `envoy-${port}.json`);
  writeFileSync(file, envoyConfig({ listen: port, admin: await freePort(), backends, http2 }));
  return start("envoy", port, program, ["-c", file, "--concurrency", "1", "--base-id", `${port}`, "-l", "error"]);
}

async function nginx(name: string, backends: readonly number[]): Promise<Measured> {
  const program = which("nginx");
  if (program === null) throw new Error("nginx is not installed (Debian: apt-get install nginx)");
  const port = await freePort();
  const file = join(folder, `nginx-${port}.conf`);
  writeFileSync(file, nginxConfig({ listen: port, folder, backends }));
  return start(name, port, program, ["-c", file]);
}
