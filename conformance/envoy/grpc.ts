import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, realpathSync, writeFileSync } from "node:fs";
import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { tool } from "../tools.ts";
import { type Mesh, until } from "./mesh.ts";

/** A gRPC backend that answers every method with an empty message, as `answer` says of the number of the call; `timeouts` are what calls said that they have. */
export async function grpcBackend(
  mesh: Mesh,
  service: string,
  version: string,
  answer: (n: number) => { status?: number; delayMs?: number } = () => ({}),
): Promise<{ id: string; readonly calls: number; readonly timeouts: readonly string[]; close(): void }> {
  let calls = 0;
  const timeouts: string[] = [];
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    stream.resume();
    timeouts.push(String(headers["grpc-timeout"]));
    const { status = 0, delayMs = 0 } = answer(++calls);
    setTimeout(() => {
      if (stream.destroyed) return;
      if (status !== 0) {
        stream.respond({ "content-type": "application/grpc", "grpc-status": status }, { endStream: true });
        return;
      }
      stream.respond({ "content-type": "application/grpc", "x-version": version }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.alloc(5));
    }, delayMs).unref();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const id = `${service}-${version}-${port}`;
  await mesh.register({ id, service, version, port, protocol: "h2c" });
  return {
    id,
    get calls() {
      return calls;
    },
    timeouts,
    close() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

interface GrpcResult {
  readonly codes: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, number>>;
}

/** Calls of `xds:///service` by grpc-js. */
export async function grpcJs(mesh: Mesh, service: string, method: string, count: number): Promise<GrpcResult> {
  const folder = dirname(realpathSync(tool("grpc-js-xds")));
  const args = [join(import.meta.dirname, "grpc-client.mjs"), folder, `xds:///${service}`, method, `${count}`];
  const { output } = await ran(process.execPath, args, bootstrapOf(mesh));
  return JSON.parse(output.trim().split("\n").at(-1) ?? "") as GrpcResult;
}

/** One call by grpc-go's interop client, of EmptyCall ("empty_unary") or UnaryCall ("large_unary"); what it printed. */
export function grpcGo(mesh: Mesh, service: string, of = "empty_unary"): Promise<{ ok: boolean; output: string }> {
  const args = [`--server_host=xds:///${service}`, "--server_port=0", "--use_tls=false", `--test_case=${of}`];
  return ran(tool("grpc-interop-client"), args, bootstrapOf(mesh));
}

function bootstrapOf({ control, folder }: Mesh): NodeJS.ProcessEnv {
  const bootstrap = {
    xds_servers: [{ server_uri: control.address, channel_creds: [{ type: "insecure" }], server_features: ["xds_v3"] }],
    node: { id: "client-1", cluster: "client", locality: {}, metadata: { weft: { role: "client" } } },
  };
  const file = join(folder, "grpc.json");
  // Others may be reading it.
  if (!existsSync(file)) writeFileSync(file, JSON.stringify(bootstrap));
  return { GRPC_XDS_BOOTSTRAP: file };
}

function ran(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { env: { ...process.env, ...env }, timeout: 30_000 }, (error, stdout, stderr) =>
      resolve({ ok: error === null, output: stdout + (error === null ? "" : stderr) }),
    );
  });
}

/** grpc-go and grpc-js by xds:///NAME: weights, retries, time-outs, endpoints that come and go. */
export async function grpcCases(
  mesh: Mesh,
  check: (name: string, what: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const backends = [
    await grpcBackend(mesh, "greeter", "v1"),
    await grpcBackend(mesh, "greeter", "v2"),
    await grpcBackend(mesh, "shaky", "v1", (n) => ({ status: n % 2 === 1 ? 14 : 0 })),
    await grpcBackend(mesh, "late", "v1", () => ({ delayMs: 60_000 })),
  ];
  await mesh.publish(RESOURCES);
  const method = "/grpc.testing.TestService/EmptyCall";
  try {
    await check("grpc-js: shares of a GRPCRoute", async () => {
      const { codes, versions } = await grpcJs(mesh, "greeter", method, 200);
      const share = (versions.v2 ?? 0) / 200;
      if (codes[0] !== 200 || share < 0.1 || share > 0.45) throw new Error(JSON.stringify({ codes, versions }));
    });
    await check("grpc-js: retries", async () => {
      const { codes } = await grpcJs(mesh, "shaky", method, 10);
      if (codes[0] !== 10) throw new Error(JSON.stringify(codes));
    });
    await check("grpc-js: a time-out", async () => {
      const { codes } = await grpcJs(mesh, "late", "/grpc.testing.TestService/UnaryCall", 1);
      if (codes[4] !== 1) throw new Error(JSON.stringify(codes));
      atMost800(backends[3].timeouts);
    });
    await check("grpc-go: shares of a GRPCRoute", async () => {
      const before = backends[1].calls;
      // A process a call: of 80, none goes to v2 once in ten thousand million runs.
      for (let i = 0; i < 20; i++) {
        for (const { ok, output } of await Promise.all(Array.from({ length: 4 }, () => grpcGo(mesh, "greeter"))))
          if (!ok) throw new Error(output.slice(-500));
      }
      const share = (backends[1].calls - before) / 80;
      if (share === 0 || share > 0.6) throw new Error(`v2 got ${share}, of 0.25`);
    });
    await check("grpc-go: retries", async () => {
      for (let i = 0; i < 4; i++) {
        const { ok, output } = await grpcGo(mesh, "shaky");
        if (!ok) throw new Error(output.slice(-500));
      }
    });
    await check("grpc-go: a time-out", async () => {
      const { ok, output } = await grpcGo(mesh, "late", "large_unary");
      if (ok || !/DeadlineExceeded/.test(output)) throw new Error(output.slice(-500));
      atMost800(backends[3].timeouts);
    });
    await check("grpc-go and grpc-js: an endpoint that drains gets no calls", async () => {
      await mesh.registry.setHealth(backends[0].id, "draining", "test");
      await until(async () => (await grpcJs(mesh, "greeter", method, 5)).codes[0] !== 5, "v1 to be out of rotation");
      const before = backends[0].calls;
      await grpcGo(mesh, "greeter");
      if (backends[0].calls !== before) throw new Error("v1 was called");
    });
  } finally {
    for (const backend of backends) backend.close();
  }
}

/** A caller that has not connected before its time is over tells nobody of it. */
function atMost800(timeouts: readonly string[]): void {
  const unit: Record<string, number> = { n: 1e-6, u: 1e-3, m: 1, S: 1_000, M: 60_000, H: 3_600_000 };
  for (const timeout of timeouts) {
    const ms = Number(timeout.slice(0, -1)) * (unit[timeout.slice(-1)] ?? Number.NaN);
    if (!(ms > 0 && ms <= 800)) throw new Error(`a call said that it has ${timeout}, of 800 ms`);
  }
}

/** The time-out is of a method that only the cases of it call: others are not to end where a process starts slowly. */
const RESOURCES = `apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: greeter }
spec:
  parentRefs: [{ kind: Service, name: greeter, group: "" }]
  rules:
    - matches: [{ method: { service: grpc.testing.TestService } }]
      backendRefs: [{ name: greeter@v1, weight: 75 }, { name: greeter@v2, weight: 25 }]
---
apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: shaky }
spec: { targetRefs: [{ kind: Service, name: shaky }], retry: { attempts: 2, nonIdempotent: true, on: [unavailable] } }
---
apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: late }
spec: { targetRefs: [{ kind: Method, name: grpc.testing.TestService/UnaryCall }], timeout: 800ms }
`;
