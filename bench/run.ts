/**
 * `npm run bench`: peers and weft in the same run, as ratios. `-- --smoke` only shows that every bench works; `-- NAME...` runs some.
 * Exit status 1 when a claim is missed (not with --smoke, whose runs are too short to judge).
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { print, type Result } from "./lib/compare.ts";

const smoke = process.argv.includes("--smoke");
const names = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const root = join(import.meta.dirname, "..");
mkdirSync(join(root, "bench", "results"), { recursive: true });
if (!existsSync(join(import.meta.dirname, "peers", "node_modules"))) {
  const cwd = join(import.meta.dirname, "peers");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd, stdio: "inherit" });
  if (status !== 0) throw new Error(`the peers' packages were not installed: npm ci in ${cwd} ended with ${status}`);
}

const benches: Record<string, () => Promise<Result[]>> = {
  codec: async () => (await import("./codec.ts")).codec(smoke),
  "grpc-server": async () => (await import("./grpc-server.ts")).grpcServer(smoke),
  "grpc-client": async () => (await import("./client.ts")).unaryClient(smoke),
  "mesh-scale": async () => (await import("./mesh-scale.ts")).meshScale(smoke),
  "grpc-proxy": async () => (await import("./proxy.ts")).grpcProxy(smoke),
  routes: async () => (await import("./routes.ts")).routes(smoke),
  "policy-cost": async () => (await import("./proxy.ts")).policyCost(smoke),
  snapshot: async () => (await import("./snapshot.ts")).snapshotBench(smoke),
  dns: async () => (await import("./dns.ts")).dns(smoke),
  mesh: async () => (await import("./mesh.ts")).mesh(smoke),
  registry: async () => (await import("./registry.ts")).registry(smoke),
  "http-proxy": async () => (await import("./proxy.ts")).httpProxy(smoke),
};
for (const name of names)
  if (!(name in benches)) {
    console.error(`no bench ${name}; there are ${Object.keys(benches).join(", ")}`);
    process.exit(2);
  }

console.log(`${cpus()[0]?.model ?? "cpu"} x ${cpus().length}, node ${process.version}`);
let missed = 0;
let ran = 0;
for (const [name, bench] of Object.entries(benches)) {
  if (names.length > 0 && !names.includes(name)) continue;
  for (const result of await bench()) {
    print(result);
    ran++;
    missed += result.claims.filter((claim) => !claim.kept).length;
  }
}
console.log(`\n${ran} benches ran, ${missed} claims missed${smoke ? " (a smoke run does not judge them)" : ""}`);
process.exitCode = missed > 0 && !smoke ? 1 : 0;
