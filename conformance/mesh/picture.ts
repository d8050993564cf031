import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Case } from "../suite.ts";
import type { RunningSystem } from "../system.ts";
import { until } from "./commands.ts";
import { startLoad } from "./load.ts";

const SERVICES = ["catalog", "orders", "pricing", "stock"];
const folder = join(import.meta.dirname, "..", "..", "examples", "polyglot", ".weft");

interface Topology {
  readonly revision: number;
  readonly nodes: readonly { name: string; kind: string; mtls: string; versions: Record<string, number | string>[] }[];
  readonly edges: readonly Edge[];
  readonly planes: readonly Record<"process" | "kind" | "service" | "acknowledged" | "enforced", string | number>[];
}

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly version: string;
  readonly callsPerSecond: number;
  readonly errorRatio: number;
  readonly attemptsPerCall: number;
  readonly secureRatio: number;
  readonly p50Ms: number;
  readonly share: number;
}

/** What `weft mesh` says of a system whose calls are known: four languages, weft's sidecars and stock Envoys. */
export async function picture(system: RunningSystem): Promise<Case[]> {
  const paths = [
    "/catalog/call?to=pricing&path=/flaky&count=8",
    "/pricing/call?to=catalog&count=8",
    "/stock/call?to=catalog&count=8",
    "/orders/call?to=stock&count=8",
  ];
  const loads = paths.map((path) => startLoad(system.gateway.port, path, 1));
  await new Promise((resolve) => setTimeout(resolve, 8_000));
  // Patient: four loads, and all that carries them, have the machine as well.
  const patience = ["--timeout", "5000"];
  // The calls that the table had fail are wrong for as long as they are in the picture, which is of the last ten seconds.
  let text = "";
  await until(20_000, async () => {
    ({ output: text } = await system.weft("mesh", ...patience));
    return /nothing is wrong/.test(text);
  });
  const { stdout } = await system.weft("mesh", "--json", ...patience);
  for (const load of loads) await load();
  const { revision, nodes, edges, planes } = JSON.parse(stdout) as Topology;
  const cases: Case[] = [];
  const check = (name: string, ok: boolean, detail: unknown): void =>
    void cases.push({ name: `the picture: ${name}`, ok, detail: JSON.stringify(detail).slice(0, 600) });
  const edge = (from: string, to: string, version = ""): Edge | undefined =>
    edges.find((one) => one.from === from && one.to === to && (version === "" || one.version === version));
  const wanted = [
    ["catalog", "pricing"],
    ["pricing", "catalog"],
    ["stock", "catalog"],
    ["orders", "stock"],
    ...SERVICES.map((service) => ["gateway", service]),
    ["outside", "gateway"],
  ];
  const missing = wanted.filter(([from, to]) => !((edge(from, to)?.callsPerSecond ?? 0) > 0));
  check("who calls whom, with rates: sidecars, an Envoy, the gateway, and who calls that", missing.length === 0, {
    missing,
    edges,
  });
  const plain = edges.filter(
    ({ from, callsPerSecond, secureRatio }) => from !== "outside" && callsPerSecond > 0 && secureRatio < 1,
  );
  check("every call went over mutual TLS", edges.length > 0 && plain.length === 0, plain);
  for (const caller of ["stock", "pricing"]) {
    const [v1, v2] = [edge(caller, "catalog", "v1"), edge(caller, "catalog", "v2")];
    const ok = v1 !== undefined && v2 !== undefined && v1.share > v2.share && v2.share > 0.05 && v2.share < 0.4;
    check(`how ${caller}'s calls are split between versions`, ok, { v1, v2 });
  }
  const flaky = edge("catalog", "pricing");
  check(
    "attempts that were repeated, and no error of them",
    (flaky?.attemptsPerCall ?? 0) > 1.02 && flaky?.errorRatio === 0,
    flaky,
  );
  const slow = edges.filter(
    ({ from, callsPerSecond, p50Ms }) => callsPerSecond > 0 && from !== "pricing" && !(p50Ms > 0),
  );
  check("latencies, where weft's own places call", slow.length === 0, slow);
  const strict = nodes.filter(({ name }) => SERVICES.includes(name));
  const unproven = strict.filter(
    ({ mtls, versions }) => mtls !== "strict" || versions.some(({ endpoints, identified }) => endpoints !== identified),
  );
  check(
    "every service is strict, and every endpoint proves who it is",
    strict.length === 4 && unproven.length === 0,
    unproven,
  );
  const behind = planes.filter(({ acknowledged, enforced }) => acknowledged !== revision || enforced !== revision);
  const kinds = [...new Set(planes.map(({ kind }) => kind))].sort().join();
  check(
    "each data plane, an Envoy too, has acknowledged the revision, and a probe found it enforced",
    planes.length >= 8 &&
      behind.length === 0 &&
      kinds.includes("envoy") &&
      kinds.includes("gateway") &&
      kinds.includes("sidecar"),
    { kinds, behind },
  );
  check("as text", /nothing is wrong/.test(text) && /^catalog +pricing /m.test(text), text);
  return cases;
}

/** Private keys are in the memory of whom they belong to, and nowhere else; the authority's own is in its folder. */
export async function keys(system: RunningSystem): Promise<Case[]> {
  const { instances } = await system.ps();
  const found: string[] = [];
  for (const file of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(file.parentPath, file.name);
    if (file.isFile() && file.name !== "authority.json" && holdsKey(fileThere(path))) found.push(path);
  }
  let looked = 0;
  for (const { pid } of instances) {
    if (process.platform !== "linux" || pid === 0) break;
    looked++;
    for (const name of ["environ", "cmdline"])
      if (holdsKey(readFileSync(`/proc/${pid}/${name}`))) found.push(`${name} of ${pid}`);
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const file = openFile(`/proc/${pid}/fd/${fd}`);
      if (file !== null && holdsKey(file)) found.push(`fd ${fd} of ${pid}`);
    }
  }
  const authority = holdsKey(readFileSync(join(folder, "control", "authority.json")));
  return [
    {
      name: "keys: no file, environment or command line of any process holds one, other than the authority's own file",
      ok: found.length === 0 && authority && (process.platform !== "linux" || looked > 10),
      detail: `${found.join(", ")}; ${looked} processes; the authority's file ${authority ? "is seen through" : "is not"}`,
    },
  ];
}

/** What a file holds; nothing when it has been taken away since it was found, as what is renamed into place is. */
function fileThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}

/** What a regular file that is open holds; null for anything else. */
function openFile(path: string): Buffer | null {
  try {
    const { size } = statSync(path);
    return statSync(path).isFile() && size < MOST_BYTES ? readFileSync(path) : null;
  } catch {
    return null; // gone, or a socket
  }
}

/** As PEM, or as the base64 that PEM has in it (PKCS#8 and SEC1 of P-256). */
function holdsKey(bytes: Buffer): boolean {
  return ["PRIVATE KEY", "MIGHAgEAMBMGByqGSM49", "MHcCAQEE"].some((mark) => bytes.includes(mark));
}

const MOST_BYTES = 20_000_000;
