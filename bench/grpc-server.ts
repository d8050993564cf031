/** gRPC unary server with a typed handler, against grpc-js and grpc-go. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { compare, type Result } from "./lib/compare.ts";
import { grpcLoad } from "./lib/load.ts";
import { freePort, type Measured, start } from "./lib/process.ts";

export async function grpcServer(smoke: boolean): Promise<Result[]> {
  const root = join(import.meta.dirname, "..");
  const goServer = join(root, "bench", "results", "grpc-go");
  const built = spawnSync("go", ["build", "-buildvcs=false", "-o", goServer, "."], {
    cwd: join(root, "bench", "peers", "grpc-go"),
    stdio: "inherit",
  });
  if (built.status !== 0) throw new Error("the grpc-go peer did not build; Go is needed");
  const servers: Measured[] = [];
  const launch = async (name: string, command: string, args: string[], env: NodeJS.ProcessEnv = {}) => {
    const port = await freePort();
    servers.push(await start(name, port, command, args, { PORT: `${port}`, ...env }));
  };
  try {
    await launch("weft", process.execPath, [join(root, "examples", "counter", "server.ts")]);
    await launch("grpc-js", process.execPath, [join(root, "bench", "peers", "grpc-js", "server.mjs")]);
    await launch("grpc-go", goServer, [], { GOMAXPROCS: "1" });
    const calls = smoke ? 20_000 : 200_000;
    const result = await compare(
      "gRPC unary server, typed handler, h2load -c 8 -m 32",
      "us CPU a call",
      servers.map((server) => ({ name: server.name, run: () => grpcLoad(server, calls, 8, 32).cpuMicrosPerCall })),
      [
        { peer: "grpc-js", atMost: 1 / 8 },
        { peer: "grpc-go", atMost: 1 / 2 },
      ],
      smoke ? 1 : 5,
    );
    return [result];
  } finally {
    for (const server of servers) await server.stop();
  }
}
