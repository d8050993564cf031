/**
 * Sidecars against stock Envoys in the same places, all of them brought up by `weft up` and steered by one control plane, so with the same policies and
 * certificates:
 *
 *     h2load -> outbound [caller] ==mutual TLS==> inbound [counter] -> counter       gRPC: CPU of both sidecars
 *     wrk    -> inbound [web] -> nginx                                               HTTP/1.1: one hop
 *
 * And what an idle sidecar holds.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningSystem, withSystem } from "../conformance/system.ts";
import { tool } from "../conformance/tools.ts";
import { compare, type Result } from "./lib/compare.ts";
import { grpcLoad, httpLoad } from "./lib/load.ts";
import { type Measured, residentMb } from "./lib/process.ts";

export async function mesh(smoke: boolean): Promise<Result[]> {
  const dir = mkdtempSync(join(tmpdir(), "weft-bench-"));
  process.env.BENCH_DIR = dir;
  process.env.WEFT_ENVOY = tool("envoy");
  try {
    return await withSystem("bench/mesh", (system) => measure(system, dir, smoke));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measure(system: RunningSystem, dir: string, smoke: boolean): Promise<Result[]> {
  const { control, instances } = await system.ps();
  const { services } = (await (await fetch(`${control}/v1/services`)).json()) as Services;
  const pidOf = (id: string): number => instances.find((one) => one.id === id)?.pid ?? 0;
  const sidecars = (suffix: string) => {
    const endpoint = services.find(({ service }) => service === `web${suffix}`)?.endpoints[0].endpoint;
    const outbound = Number(readFileSync(join(dir, `caller${suffix}`), "utf8").split(":")[1]);
    return {
      web: measured(suffix, pidOf(`web${suffix}-1-sidecar`), endpoint?.port ?? 0),
      caller: measured(suffix, pidOf(`caller${suffix}-1-sidecar`), outbound),
      counter: measured(suffix, pidOf(`counter${suffix}-1-sidecar`), 0),
    };
  };
  const weft = sidecars("");
  const envoy = sidecars("-e");
  const idle = { weft: residentMb(weft.counter.pid), envoy: residentMb(envoy.counter.pid) };

  const calls = smoke ? 10_000 : 200_000;
  const grpc = await compare(
    "gRPC through two sidecars over mutual TLS, h2load -c 8 -m 32",
    "us CPU of both, a call",
    [weft, envoy].map(({ caller, counter }, i) => ({
      name: caller.name,
      run: () => {
        const authority = i === 0 ? "counter.weft" : "counter-e.weft";
        return grpcLoad(caller, calls, 8, 32, { authority, also: [counter.pid] }).cpuMicrosPerCall;
      },
    })),
    [{ peer: "envoy", atMost: 1 / 4 }],
    smoke ? 1 : 5,
  );
  const http = await compare(
    "HTTP/1.1 through one sidecar, 64 connections",
    "us CPU a call",
    [weft, envoy].map(({ web }) => ({
      name: web.name,
      run: () => httpLoad(web, smoke ? 1 : 4, 64, "/v1/count").cpuMicrosPerCall,
    })),
    [{ peer: "envoy", atMost: 1 / 2 }],
    smoke ? 1 : 5,
  );
  const ratio = idle.weft / idle.envoy;
  const memory: Result = {
    work: "an idle sidecar",
    unit: "MB resident",
    medians: idle,
    claims: [{ peer: "envoy", ratio, atMost: 1, kept: ratio <= 1 }],
  };
  return [grpc, http, memory];
}

interface Services {
  readonly services: readonly {
    readonly service: string;
    readonly endpoints: readonly { readonly endpoint: { readonly port: number } }[];
  }[];
}

/** What `weft up` started: it stops it, too. */
function measured(suffix: string, pid: number, port: number): Measured {
  return { name: suffix === "" ? "weft" : "envoy", pid, port, stop: async () => {} };
}
