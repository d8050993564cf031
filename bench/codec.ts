/**
 * Encode and decode against protobufjs's static code (with Long, as its users have it) and protobuf-es: CPU time for a message, medians of
 * interleaved rounds. `node bench/codec.ts` measures the built package; `node -C weft-source bench/codec.ts` the sources.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { codecOf, create, type DescMessage, fromBinary, toBinary } from "weftmesh/contract";
import { CountSchema, OrderSchema } from "./gen/bench/v1/order.ts";

interface Work {
  name: string;
  desc: DescMessage;
  plain: Record<string, unknown>;
  /** protobufjs's static class. */
  peer: PeerType | undefined;
}

interface PeerType {
  encode(message: unknown): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
  fromObject(plain: unknown): unknown;
}

/** Keeps results alive. */
let sink: unknown;

const ROUNDS = 15;
const ROUND_MS = 40;

const order = {
  id: "ord-2026-000147",
  customer: "Ada Lovelace",
  createdMs: 1_790_000_123_456n,
  status: 3,
  lines: Array.from({ length: 10 }, (_, index) => ({
    sku: `SKU-${10_000 + index * 37}`,
    title: ["Blue enamel mug", "Notebook, dotted, A5", "USB-C cable 2 m", "Desk lamp with dimmer"][index % 4],
    quantity: 1 + ((index * 7) % 200),
    priceCents: BigInt(499 + index * 1250),
  })),
  note: "Please leave it at the back door.",
  totalCents: 1_234_567n,
};

const peers = await loadPeers();
const works: Work[] = [
  { name: "count", desc: CountSchema, plain: { count: 41n }, peer: peers?.Count },
  { name: "order", desc: OrderSchema, plain: order, peer: peers?.Order },
];
console.log(`codec: ${cpus()[0].model}, Node ${process.version}; ns of CPU a message, median of ${ROUNDS} rounds`);
let worst = 0;
for (const work of works) {
  const codec = codecOf(work.desc);
  const message = create(work.desc, work.plain);
  const bytes = Buffer.from(toBinary(work.desc, message)); // what sockets give; protobufjs is faster on it
  const { peer } = work;
  const theirs = peer?.fromObject(
    JSON.parse(JSON.stringify(work.plain, (_, value) => (typeof value === "bigint" ? String(value) : value))),
  );
  const figures = measure({
    "weft encode": () => codec.encode(message as never),
    "weft decode": () => codec.decode(bytes, 0, bytes.length),
    "protobuf-es encode": () => toBinary(work.desc, message),
    "protobuf-es decode": () => fromBinary(work.desc, bytes),
    ...(peer === undefined
      ? {}
      : { "protobufjs encode": () => peer.encode(theirs).finish(), "protobufjs decode": () => peer.decode(bytes) }),
  });
  console.log(`${work.name} (${bytes.length} bytes)`);
  for (const [name, ns] of Object.entries(figures)) console.log(`  ${name.padEnd(20)} ${ns.toFixed(0).padStart(7)} ns`);
  if (peer === undefined) continue;
  for (const way of ["encode", "decode"])
    console.log(
      `  ratio ${way.padEnd(14)} ${(figures[`weft ${way}`] / figures[`protobufjs ${way}`]).toFixed(2).padStart(7)} x protobufjs`,
    );
  const both = (name: string) => figures[`${name} encode`] + figures[`${name} decode`];
  const ratio = both("weft") / both("protobufjs");
  worst = Math.max(worst, ratio);
  console.log(`  ratio encode+decode  ${ratio.toFixed(2).padStart(7)} x protobufjs (target: at most 1)`);
}
if (sink === undefined) throw new Error("nothing was measured");
if (peers === undefined) console.log("protobufjs, protobufjs-cli and long are not installed: no ratio");
else if (worst > 1) process.exitCode = 1;

/** ns of CPU for each; rounds alternate between the contestants, so that a busy machine is unfair to nobody. */
function measure(contestants: Record<string, () => unknown>): Record<string, number> {
  const names = Object.keys(contestants);
  const counts = new Map<string, number>();
  const samples = new Map<string, number[]>(names.map((name) => [name, []]));
  for (const name of names) {
    run(contestants[name], 20_000);
    counts.set(name, Math.ceil((ROUND_MS * 1e6) / run(contestants[name], 20_000)));
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) samples.get(name)?.push(run(contestants[name], counts.get(name) as number));
  }
  return Object.fromEntries(
    names.map((name) => [name, (samples.get(name) as number[]).sort((a, b) => a - b)[ROUNDS >> 1]]),
  );
}

function run(work: () => unknown, times: number): number {
  const before = process.cpuUsage();
  for (let i = 0; i < times; i++) sink = work();
  const used = process.cpuUsage(before);
  return (Math.max(1, used.user + used.system) * 1000) / times;
}

/** Static code, made by pbjs from the same contract; undefined when it is not installed (here, or in WEFT_BENCH_PEERS). */
async function loadPeers(): Promise<Record<"Count" | "Order", PeerType> | undefined> {
  const require = createRequire(join(process.env.WEFT_BENCH_PEERS ?? import.meta.dirname, "bench.js"));
  let pbjs: string;
  try {
    pbjs = join(dirname(require.resolve("protobufjs-cli/package.json")), "bin/pbjs");
    require.resolve("long");
  } catch {
    return undefined;
  }
  const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
  try {
    const file = join(folder, "static.cjs");
    const proto = join(import.meta.dirname, "proto/bench/v1/order.proto");
    execFileSync(process.execPath, [pbjs, "-t", "static-module", "-w", "commonjs", "--force-long", "-o", file, proto], {
      stdio: "ignore",
    });
    // The static code requires protobufjs by name, from where it lies.
    const { readFileSync, writeFileSync } = await import("node:fs");
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace(
        /require\("(protobufjs\/minimal)"\)/,
        (_, name) => `require(${JSON.stringify(require.resolve(name))})`,
      ),
    );
    const module = (await import(pathToFileURL(file).href)) as {
      default: { bench: { v1: Record<"Count" | "Order", PeerType> } };
    };
    return module.default.bench.v1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
