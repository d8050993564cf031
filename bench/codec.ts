/** Encode and decode, against protobufjs's static code (with Long, as its users have it) and protobuf-es. */

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { codecOf, create, type DescMessage, fromBinary, toBinary } from "weftmesh/contract";
import { CountSchema, OrderSchema } from "./gen/bench/v1/order.ts";
import { type Contender, compare, type Result } from "./lib/compare.ts";

interface PeerType {
  encode(message: unknown): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
  fromObject(plain: unknown): unknown;
}

const ORDER = {
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

export async function codec(smoke: boolean): Promise<Result[]> {
  const peers = await loadPeers();
  return [
    ...(await compareType("the counter's message", CountSchema, { count: 41n }, peers.Count, smoke)),
    ...(await compareType("an order with 10 lines", OrderSchema, ORDER, peers.Order, smoke)),
  ];
}

async function compareType(
  name: string,
  desc: DescMessage,
  plain: Record<string, unknown>,
  peer: PeerType,
  smoke: boolean,
): Promise<Result[]> {
  const ours = codecOf(desc);
  const message = create(desc, plain);
  const bytes = Buffer.from(toBinary(desc, message)); // what sockets give; protobufjs is faster on it
  const theirs = peer.fromObject(
    JSON.parse(JSON.stringify(plain, (_, value) => (typeof value === "bigint" ? `${value}` : value))),
  );
  if (!bytes.equals(peer.encode(theirs).finish()) || !bytes.equals(ours.encode(message as never))) {
    throw new Error(`${name}: the contestants do not write the same bytes`);
  }
  const ways: Record<string, [weft: () => unknown, js: () => unknown, es: () => unknown]> = {
    encode: [() => ours.encode(message as never), () => peer.encode(theirs).finish(), () => toBinary(desc, message)],
    decode: [() => ours.decode(bytes, 0, bytes.length), () => peer.decode(bytes), () => fromBinary(desc, bytes)],
  };
  const { encode, decode } = ways;
  ways["encode and decode"] = [0, 1, 2].map((index) => () => {
    encode[index]();
    return decode[index]();
  }) as typeof encode;
  const results: Result[] = [];
  for (const [way, [weft, js, es]] of Object.entries(ways)) {
    const contenders = [
      contender("weft", weft, smoke),
      contender("protobufjs", js, smoke),
      contender("protobuf-es", es, smoke),
    ];
    // The claim is about a message's whole way; the parts are shown beside it.
    const claims = way === "encode and decode" ? [{ peer: "protobufjs", atMost: 1 }] : [];
    results.push(
      await compare(`codec: ${way} ${name} (${bytes.length} bytes)`, "ns CPU", contenders, claims, smoke ? 1 : 15),
    );
  }
  return results;
}

/** Keeps results alive. */
export let sink: unknown;

/** A run takes about 40 ms. */
function contender(name: string, work: () => unknown, smoke: boolean): Contender {
  const measure = (times: number): number => {
    const before = process.cpuUsage();
    for (let i = 0; i < times; i++) sink = work();
    const used = process.cpuUsage(before);
    return (Math.max(1, used.user + used.system) * 1000) / times;
  };
  measure(20_000);
  const times = smoke ? 1000 : Math.ceil(40e6 / measure(20_000));
  return { name, run: () => measure(times) };
}

/** Static code, made by pbjs from the same contract. */
async function loadPeers(): Promise<Record<"Count" | "Order", PeerType>> {
  const require = createRequire(join(import.meta.dirname, "peers", "package.json"));
  const pbjs = join(dirname(require.resolve("protobufjs-cli/package.json")), "bin", "pbjs");
  require.resolve("long"); // without it protobufjs would have numbers for int64, which is another work
  const file = join(import.meta.dirname, "results", "static.cjs");
  const proto = join(import.meta.dirname, "proto", "bench", "v1", "order.proto");
  mkdirSync(dirname(file), { recursive: true });
  execFileSync(process.execPath, [pbjs, "-t", "static-module", "-w", "commonjs", "--force-long", "-o", file, proto], {
    stdio: "ignore",
  });
  // The static code requires protobufjs by name, from where it lies.
  const code = readFileSync(file, "utf8").replace(/require\("(protobufjs\/minimal)(?:\.js)?"\)/, (_, name: string) => {
    return `require(${JSON.stringify(require.resolve(name))})`;
  });
  writeFileSync(file, code);
  const module = (await import(pathToFileURL(file).href)) as {
    default: { bench: { v1: Record<"Count" | "Order", PeerType> } };
  };
  return module.default.bench.v1;
}
