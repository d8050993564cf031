/** Typed unary client with 32 calls in flight, against grpc-js's; both call the same grpc-go server. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { compare, type Result } from "./lib/compare.ts";
import { freePort, start } from "./lib/process.ts";

const root = join(import.meta.dirname, "..");

export async function unaryClient(smoke: boolean): Promise<Result[]> {
  const goServer = join(root, "bench", "results", "grpc-go");
  const cwd = join(root, "bench", "peers", "grpc-go");
  const built = spawnSync("go", ["build", "-buildvcs=false", "-o", goServer, "."], { cwd, stdio: "inherit" });
  if (built.status !== 0) throw new Error("the grpc-go peer did not build; Go is needed");
  const port = await freePort();
  const server = await start("grpc-go", port, goServer, [], { PORT: `${port}` });
  try {
    const calls = smoke ? 10_000 : 100_000;
    const result = await compare(
      "typed unary client, 32 calls in flight",
      "us CPU a call",
      [
        { name: "weft", run: () => measure(join(root, "bench", "lib", "weft-client.mjs"), port, calls) },
        { name: "grpc-js", run: () => measure(join(root, "bench", "peers", "grpc-js", "client.mjs"), port, calls) },
      ],
      [{ peer: "grpc-js", atMost: 1 / 6 }],
      smoke ? 1 : 5,
    );
    return [result];
  } finally {
    await server.stop();
  }
}

function measure(program: string, port: number, calls: number): number {
  const ran = spawnSync(process.execPath, [program, `${port}`, `${calls}`], { encoding: "utf8", timeout: 120_000 });
  if (ran.status !== 0) throw new Error(`${program} failed:\n${ran.stderr}`);
  return (JSON.parse(ran.stdout) as { cpuMicrosPerCall: number }).cpuMicrosPerCall;
}
