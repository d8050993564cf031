import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { createDirectClient } from "../src/call/direct.ts";
import { Admin } from "../src/contract/gen/weft/control/v1/control.ts";
import { seededRandom } from "../src/core/random.ts";
import type { Result } from "./lib/compare.ts";
import { Hearing } from "./scale/hearing.ts";
import { GATEWAYS, now, PLANES, resourcesOf, SERVICES, USED, XDS_PLANES } from "./scale/system.ts";

/**
 * The control plane at scale: 1,000 services of 10 endpoints each, 200 data planes over sockets of their own in two processes (two of them gateways that hold
 * everything; each other uses 5 services, one of which all use), and 20 more by xDS with all services. How long a change of an endpoint, and one of a policy, takes to
 * reach all of them; and a thousand revisions in a minute, each published by the API as `weft apply` does. The control plane has a process of its own, so that what it
 * uses is told apart from what making and hearing costs.
 *
 * The claims are what docs/mesh.md promises.
 */
export async function meshScale(smoke: boolean): Promise<Result[]> {
  const results: Result[] = [];
  const promise = (work: string, value: number, most: number, unit: string): void => {
    const ratio = most === 0 ? (value === 0 ? 0 : Number.POSITIVE_INFINITY) : value / most;
    const claims = [{ peer: "promised", ratio, atMost: 1, kept: ratio <= 1 }];
    results.push({ work: `${SERVICES} services: ${work}`, unit, medians: { weft: value, promised: most }, claims });
  };
  const { control, address } = await startControl();
  const own = new Hearing(PLANES);
  const usage = new Hearing(1);
  usage.follow(control);
  const clients: ChildProcess[] = [];
  const { client: admin, close } = createDirectClient(Admin, address);
  const versions: number[] = new Array(SERVICES).fill(0);
  const publish = async (): Promise<number> => {
    const resources = JSON.stringify(resourcesOf(versions));
    return Number((await admin.publishRevision({ resources, source: "bench", author: "bench" })).revision);
  };
  const used = async (): Promise<{ cpuMs: number; rss: number }> => {
    usage.of("usage").clear();
    control.send("usage");
    await usage.until(() => usage.of("usage").size > 0, "what the control plane uses");
    const { cpuMs = 0, rss = 0 } = usage.of("usage").get(0) ?? {};
    return { cpuMs, rss };
  };
  const random = seededRandom(99);
  /** Revisions at the pace of a thousand a minute; tells the last one, and how long a thousand would take. */
  const burst = async (many: number): Promise<{ last: number; seconds: number; coreShare: number }> => {
    const before = await used();
    const first = now();
    let last = 0;
    const under: Promise<unknown>[] = [];
    for (let i = 0; i < many; i++) {
      versions[Math.floor(random.next() * SERVICES)]++;
      under.push(publish().then((revision) => (last = Math.max(last, revision))));
      if (under.length >= AT_ONCE) await under.shift();
      await pause(first + ((i + 1) * MINUTE_MS) / REVISIONS - now());
    }
    await Promise.all(under);
    const ms = now() - first;
    const cpuMs = (await used()).cpuMs - before.cpuMs;
    return { last, seconds: (ms / 1_000 / many) * REVISIONS, coreShare: cpuMs / ms };
  };
  try {
    await publish();
    for (let index = 0; index < CLIENTS; index++) clients.push(start("own-planes", address, `${index}`, `${CLIENTS}`));
    for (const client of clients) own.follow(client);
    await own.until(() => own.of("ready").size === PLANES, "all lines");

    const endpoints: number[] = [];
    for (let round = 0; round < (smoke ? 5 : 50); round++) {
      const at = now();
      control.send(20_000 + round);
      endpoints.push(...(await own.reached("endpoint", 20_000 + round)).map((seen) => seen - at));
      await pause(20);
    }
    promise(`an endpoint's change reaches ${PLANES} data planes, p99`, quantile(endpoints, 0.99), 1_000, "ms");

    const revisions: number[] = [];
    for (let round = 0; round < (smoke ? 3 : 20); round++) {
      versions[0]++;
      const at = now();
      const revision = await publish();
      revisions.push(...(await own.reached("revision", revision)).map((seen) => seen - at));
      await pause(50);
    }
    promise(`a revision reaches ${PLANES} data planes, p99`, quantile(revisions, 0.99), 1_000, "ms");

    const before = (await used()).rss;
    const plain = await burst(smoke ? 20 : REVISIONS);
    const at = now();
    const ends = await own.reached("revision", plain.last);
    promise("a thousand revisions, paced by the minute", plain.seconds, 60 * 1.05, "s");
    promise("the part of a core that the control plane uses for these", plain.coreShare, 0.75, "core");
    promise(
      "after which every data plane is at the last one",
      Math.max(0, ...ends.map((end) => end - at)),
      5_000,
      "ms",
    );
    const { rss } = await used();
    promise("resident memory of the control plane, at most", rss / 1e6, 600, "MB");
    promise("of which came with these revisions", (rss - before) / 1e6, 250, "MB");

    for (const client of clients) client.send("held");
    await own.until(() => own.of("held").size === PLANES, "what is held");
    const all = [...own.of("held").values()];
    const held = all.filter(({ plane }) => plane >= GATEWAYS);
    promise(`services that a line of ${USED} holds`, Math.max(...held.map(({ services = 0 }) => services)), USED, "");
    promise("resources that it holds", Math.max(...held.map(({ resources = 0 }) => resources)), 12, "");
    promise("planes not at the last revision", all.filter(({ value }) => value !== plain.last).length, 0, "");

    const streams = new Hearing(XDS_PLANES);
    const xds = start("xds-planes", address);
    clients.push(xds);
    streams.follow(xds);
    await streams.until(() => streams.of("ready").size === XDS_PLANES, "all xDS streams");
    const both = await burst(smoke ? 20 : REVISIONS);
    const end = now();
    const late = [...(await streams.reached("revision", both.last)), ...(await own.reached("revision", both.last))];
    // No promise: bench, data planes and control plane share the machine, and each of these streams is told of every service.
    results.push({
      work: `${SERVICES} services: a thousand revisions, with ${XDS_PLANES} xDS streams of all services`,
      unit: "s",
      medians: { weft: both.seconds },
      claims: [],
    });
    promise("the part of a core that the control plane uses for these", both.coreShare, 1, "core");
    promise(
      "after which every one is at the last revision",
      Math.max(0, ...late.map((seen) => seen - end)),
      5_000,
      "ms",
    );
  } finally {
    await close();
    for (const child of [...clients, control]) child.send("end");
  }
  return results;
}

const CLIENTS = 2;
const REVISIONS = 1_000;
/** Publications that are under way: who publishes does not wait for everybody else. */
const AT_ONCE = 4;
const MINUTE_MS = 60_000;

function start(name: string, ...args: string[]): ChildProcess {
  return fork(join(import.meta.dirname, "scale", `${name}.ts`), args, { execArgv: process.execArgv });
}

async function startControl(): Promise<{ control: ChildProcess; address: string }> {
  const control = start("control");
  const address = await new Promise<string>((resolve, reject) => {
    control.once("message", (said) => resolve(String(said)));
    control.once("exit", (code) => reject(new Error(`the control plane ended with ${code}`)));
  });
  return { control, address };
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
