// Measures what the mesh promises, for each of the four services as the caller, and prints one table. Exit status 1 when a cell is wrong.
//
//     weft up examples/polyglot &
//     node examples/polyglot/check.ts [http://127.0.0.1:8080]
import { execFileSync } from "node:child_process";
import { get } from "node:http";
import { connect } from "node:net";
import { MISSING } from "./languages.ts";

const gateway = process.argv[2] ?? "http://127.0.0.1:8080";
const CANARY_CALLS = 400;
/** Of one request to a service, so that each ends well within its time-out on a busy machine, too. */
const CALLS_AT_ONCE = 50;
const FLAKY_CALLS = 40;
const SERVICES = ["catalog", "pricing", "stock", "orders"].filter((service) => !MISSING.includes(service));

interface Answer {
  readonly statuses: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, number>>;
  readonly peers: readonly string[];
}

interface Cell {
  readonly ok: boolean;
  readonly text: string;
}

/** JSON from a service, through the gateway. */
function ask<T>(path: string): Promise<T> {
  return new Promise((resolve, reject) => {
    get(`${gateway}${path}`, { timeout: 60_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${path}: ${response.statusCode} ${text.slice(0, 200)}`));
      });
    }).on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "ECONNREFUSED") return reject(error);
      console.error(
        `nothing listens at ${gateway}; start the system, weft up examples/polyglot, or name its gateway: check.ts http://HOST:PORT`,
      );
      process.exit(1);
    });
  });
}

const call = (from: string, to: string, path: string, count: number): Promise<Answer> =>
  ask(`/${from}/call?to=${to}&path=${encodeURIComponent(path)}&count=${count}`);

/** A split of 80 to 20: the share of v2 within five and a half standard deviations, past which chance takes one split in ten million. */
async function canary(from: string): Promise<Cell> {
  if (!SERVICES.includes("catalog")) return LEFT_OUT;
  let [answered, v1, v2] = [0, 0, 0];
  for (let made = 0; made < CANARY_CALLS; made += CALLS_AT_ONCE) {
    const { versions, statuses } = await call(from, "catalog", "/hello", CALLS_AT_ONCE);
    answered += statuses["200"] ?? 0;
    v1 += versions.v1 ?? 0;
    v2 += versions.v2 ?? 0;
  }
  const deviation = Math.sqrt((0.2 * 0.8) / CANARY_CALLS);
  const ok = answered === CANARY_CALLS && Math.abs(v2 / CANARY_CALLS - 0.2) <= 5.5 * deviation;
  return { ok, text: `${v1} to ${v2}` };
}

/** One call in eight fails: none does for the caller. */
async function retries(from: string): Promise<Cell> {
  if (!SERVICES.includes("pricing")) return LEFT_OUT;
  const before = await failedOnPurpose();
  const { statuses } = await call(from, "pricing", "/flaky", FLAKY_CALLS);
  const failed = (await failedOnPurpose()) - before;
  const succeeded = statuses["200"] ?? 0;
  return { ok: succeeded === FLAKY_CALLS, text: `${succeeded}/${FLAKY_CALLS}, ${failed} tried again` };
}

/** By all replicas of pricing, as far as they were heard; one that was not counts as it did before. */
const failedOf = new Map<string, number>();
async function failedOnPurpose(): Promise<number> {
  const replicas = instances.filter(({ service }) => service === "pricing").length;
  const heard = new Set<string>();
  for (let i = 0; i < 20 && heard.size < replicas; i++) {
    // Several at once, so that they do not all go to the one that answers fastest.
    const asked = Array.from({ length: 8 }, () => ask<{ instance: string; failed: number }>("/pricing/hello"));
    for (const { instance, failed } of await Promise.all(asked)) {
      heard.add(instance);
      failedOf.set(instance, failed);
    }
  }
  return failedOf.values().reduce((sum, count) => sum + count, 0);
}

/** Orders may call stock, others may not. */
async function authorization(from: string): Promise<Cell> {
  if (!SERVICES.includes("stock")) return LEFT_OUT;
  const { statuses } = await call(from, "stock", "/hello", 3);
  const wanted = from === "orders" ? "200" : "403";
  const seen = Object.keys(statuses).join(", ");
  return { ok: statuses[wanted] === 3, text: `${seen} ${from === "orders" ? "allowed" : "denied"}` };
}

/** Its own proxy lets nobody but orders to one path of it. The application has no such page, which shows that it was asked. */
async function guard(service: string): Promise<Cell> {
  const other = SERVICES.find((name) => name !== service && name !== "orders");
  if (other === undefined) return LEFT_OUT;
  const denied = Object.keys((await call(other, service, "/guarded", 2)).statuses).join(", ");
  const allowed = Object.keys((await call("orders", service, "/guarded", 2)).statuses).join(", ");
  return { ok: denied === "403" && allowed === "404", text: `${denied} to ${other}, ${allowed} to orders` };
}

/** Its certificate says who it is to those that it calls, and nobody gets to it in plain text. */
async function mutualTls(service: string): Promise<Cell> {
  const targets = SERVICES.filter((other) => other !== service && other !== "stock");
  const heard = await Promise.all(targets.map((target) => call(service, target, "/hello", 1)));
  const peers = [...new Set(heard.flatMap((answer) => answer.peers))];
  const plain = await Promise.all(addressesOf(service).map(plainAnswer));
  const ok =
    peers.length === 1 && peers[0] === `spiffe://polyglot/${service}` && plain.length > 0 && !plain.includes(true);
  return {
    ok,
    text: `${peers.join(" ") || "nobody"}${plain.includes(true) ? ", takes plain text" : ", plain text refused"}`,
  };
}

/** Where calls to a service go: its sidecars. */
function addressesOf(service: string): string[] {
  return instances
    .filter((instance) => instance.service.endsWith("-sidecar") && instance.service.startsWith(service))
    .map(({ address }) => address);
}

/** Whether somebody who proves nothing gets an answer. */
function plainAnswer(address: string): Promise<boolean> {
  const [host, port] = address.split(":");
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) });
    socket.setTimeout(2_000, () => socket.destroy());
    socket.on("connect", () => socket.write("GET /hello HTTP/1.1\r\nhost: x.weft\r\nconnection: close\r\n\r\n"));
    socket.on("data", (chunk) => {
      resolve(/^HTTP\/1\.1 200/.test(chunk.toString("latin1")));
      socket.destroy();
    });
    socket.on("error", () => resolve(false));
    socket.on("close", () => resolve(false));
  });
}

const LEFT_OUT: Cell = { ok: true, text: "left out" };
const CHECKS = { "canary 80:20": canary, retries, authorization, guard, mTLS: mutualTls };

await ask(`/${SERVICES[0]}/hello`).catch(() => {}); // ends here when nothing runs
const ps =
  process.env.WEFT_PS ?? execFileSync("npx", ["weft", "ps", "-C", import.meta.dirname, "--json"], { encoding: "utf8" });
const { instances }: { instances: { service: string; address: string }[] } = JSON.parse(ps);

const rows: string[][] = [["service", ...Object.keys(CHECKS)]];
let wrong = 0;
for (const service of SERVICES) {
  const row = [service];
  for (const check of Object.values(CHECKS)) {
    const { ok, text } = await check(service).catch((error: Error): Cell => ({ ok: false, text: error.message }));
    if (!ok) wrong++;
    row.push(`${ok ? "ok  " : "WRONG"} ${text}`);
  }
  rows.push(row);
}
const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
for (const row of rows)
  console.log(
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join("  ")
      .trimEnd(),
  );
const { statuses } = await call("orders", "orders", "grpc", 10);
console.log(`\norders calls itself over gRPC, through its sidecar: ${statuses["200"] ?? 0} of 10`);
if (statuses["200"] !== 10) wrong++;
if (SERVICES.includes("pricing") && (await failedOnPurpose()) === 0) {
  console.log("pricing never failed: nothing was tried again");
  wrong++;
}
console.log(wrong === 0 ? "every cell is as it should be" : `${wrong} wrong`);
process.exitCode = wrong === 0 ? 0 : 1;
