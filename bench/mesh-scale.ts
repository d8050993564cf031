import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { codecOf } from "../src/contract/codec.ts";
import { ResourceSetSchema } from "../src/contract/gen/weft/control/v1/control.ts";
import { startControlPlane } from "../src/control/control-plane.ts";
import type { Endpoint } from "../src/core/endpoint.ts";
import { seededRandom } from "../src/core/random.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";
import { createLink } from "../src/link/link.ts";
import type { Link } from "../src/link/types.ts";
import { rateLimit, route, traffic } from "../src/policy/builders.ts";
import type { Resource } from "../src/policy/resource/resources.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";

/**
 * The control plane at scale: 1,000 services of 10 endpoints each, 200 data planes over sockets of their own in two processes (two of them gateways that hold
 * everything; each other uses 5 services, one of which all use). How long a change of an endpoint, and one of a policy, takes to reach all of them; and a thousand
 * revisions in a minute.
 *
 *     node -C weft-source bench/mesh-scale.ts [--smoke]
 *
 * Exit status 1 when a figure is worse than what docs/mesh.md promises.
 */
const SERVICES = 1_000;
const ENDPOINTS = 10;
const PLANES = 200;
const GATEWAYS = 2;
const CLIENTS = 2;
const USED = 5;

interface Told {
  readonly kind: "ready" | "endpoint" | "revision" | "held";
  readonly plane: number;
  /** Of the marked endpoint's port, or the revision. */
  readonly value: number;
  /** Epoch ms. */
  readonly at: number;
  /** kind "held": resources and services that are held, services with resources of their own. */
  readonly resources?: number;
  readonly services?: number;
}

const now = (): number => performance.timeOrigin + performance.now();

// --- data planes ------------------------------------------------------------------------------------------------

async function client(address: string, index: number): Promise<void> {
  const tell = (told: Told): void => void process.send?.(told);
  const lines: { link: Link; held: () => void }[] = [];
  for (let plane = index; plane < PLANES; plane += CLIENTS) {
    const random = seededRandom(plane + 1);
    const gateway = plane < GATEWAYS;
    const policy = createPolicyRuntime({ random });
    let held: readonly Resource[] = [];
    const told = (revision: number): void => tell({ kind: "revision", plane, value: revision, at: now() });
    const { applyResources, applyEndpoints, advanceRevision } = policy;
    policy.applyResources = (revision, resources, methods) => {
      applyResources.call(policy, revision, resources, methods);
      held = resources;
      told(revision);
    };
    policy.advanceRevision = (revision) => {
      advanceRevision.call(policy, revision);
      told(revision);
    };
    policy.applyEndpoints = (delta) => {
      applyEndpoints.call(policy, delta);
      const marked = delta.changed.find(({ id }) => id === "service-0-0");
      if (marked !== undefined) tell({ kind: "endpoint", plane, value: marked.port, at: now() });
    };
    const role = gateway ? "gateway" : "sidecar";
    const own = `service-${Math.floor(random.next() * SERVICES)}`;
    const service = gateway ? "" : own;
    const link = createLink({ address, policy, process: `${role}-${plane}`, role, service, onError: console.error });
    const used = new Set(gateway ? ["*"] : ["service-0"]);
    while (!gateway && used.size < USED) used.add(`service-${Math.floor(random.next() * SERVICES)}`);
    await Promise.all(Array.from(used, (name) => link.subscribe(name, 60_000)));
    tell({ kind: "ready", plane, value: used.size, at: now() });
    lines.push({
      link,
      held: () => {
        const services = new Set<string>();
        for (const name of Array.from({ length: SERVICES }, (_, i) => `service-${i}`))
          if (policy.describe(name, 0).length > 0) services.add(name);
        tell({ kind: "held", plane, value: policy.revision, at: 0, resources: held.length, services: services.size });
      },
    });
  }
  process.on("message", (asked) => {
    if (asked === "held") for (const { held } of lines) held();
    else void Promise.all(lines.map(({ link }) => link.close())).then(() => process.exit(0));
  });
}

// --- the control plane ------------------------------------------------------------------------------------------

async function main(smoke: boolean): Promise<void> {
  const registry = createMemoryRegistry();
  const hour = 3_600_000;
  const plane = await startControlPlane({ registry, health: { defaults: { kind: "ttl" } }, defaultTtlMs: 60_000 });
  for (let service = 0; service < SERVICES; service++)
    for (let n = 0; n < ENDPOINTS; n++) await registry.register(endpoint(service, n), hour);
  const versions: number[] = new Array(SERVICES).fill(0);
  const publish = (): Promise<{ revision: number }> =>
    plane.publish({ text: JSON.stringify(resourcesOf(versions)), source: "bench", author: "bench", reason: "" });
  await publish();
  const all = new Hearing();
  const clients = Array.from({ length: CLIENTS }, (_, index) => all.follow(plane.address, index));
  const failures: string[] = [];
  const promise = (name: string, value: number, most: number, unit: string): void => {
    const ok = value <= most;
    if (!ok) failures.push(name);
    console.log(
      `${name.padEnd(58)} ${value.toFixed(value < 10 ? 1 : 0).padStart(8)} ${unit}${ok ? "" : `   WORSE than ${most}`}`,
    );
  };
  console.log(
    `${SERVICES} services, ${SERVICES * ENDPOINTS} endpoints, ${PLANES} data planes, ${availableParallelism()} cores`,
  );
  try {
    const began = now();
    await all.until(() => all.of("ready").size === PLANES, "all lines");
    console.log(`attached and supplied in ${Math.round(now() - began)} ms`);

    const endpoints: number[] = [];
    for (let round = 0; round < (smoke ? 5 : 50); round++) {
      const port = 20_000 + round;
      const at = now();
      await registry.register(endpoint(0, 0, port), hour);
      endpoints.push(...(await all.reached("endpoint", port)).map((seen) => seen - at));
      await pause(20);
    }
    promise("an endpoint's change reaches a data plane, p50", quantile(endpoints, 0.5), 1_000, "ms");
    promise("an endpoint's change reaches a data plane, p99", quantile(endpoints, 0.99), 1_000, "ms");

    const revisions: number[] = [];
    for (let round = 0; round < (smoke ? 3 : 20); round++) {
      versions[0]++;
      const at = now();
      const { revision } = await publish();
      revisions.push(...(await all.reached("revision", revision)).map((seen) => seen - at));
      await pause(50);
    }
    promise("a revision reaches a data plane, checks and ledger included, p50", quantile(revisions, 0.5), 1_000, "ms");
    promise("a revision reaches a data plane, checks and ledger included, p99", quantile(revisions, 0.99), 1_000, "ms");

    const random = seededRandom(99);
    const many = smoke ? 50 : 1_000;
    const everyMs = 60_000 / 1_000;
    const first = now();
    let cpu = process.cpuUsage();
    let last = 0;
    const before = process.memoryUsage().rss;
    let highest = 0;
    for (let i = 0; i < many; i++) {
      versions[Math.floor(random.next() * SERVICES)]++;
      last = (await publish()).revision;
      highest = Math.max(highest, process.memoryUsage.rss());
      await pause(Math.max(0, first + (i + 1) * everyMs - now()));
    }
    const took = now() - first;
    cpu = process.cpuUsage(cpu);
    console.log(
      `${many} revisions in ${(took / 1_000).toFixed(1)} s, the control plane used ${((cpu.user + cpu.system) / 1e6).toFixed(1)} s of a core`,
    );
    promise("seconds for a thousand revisions", took / many, 60 * 1.05, "s");
    const at = now();
    const ends = await all.reached("revision", last);
    promise("every data plane ends at the last revision after", Math.max(...ends) - at, 5_000, "ms");
    const grown = (highest - before) / 1e6;
    promise("resident memory of the control plane, this included, at most", highest / 1e6, 600, "MB");
    promise("of which came with these revisions", grown, 250, "MB");

    for (const one of clients) one.send("held");
    await all.until(() => all.of("held").size === PLANES, "what is held");
    const held = [...all.of("held").values()].filter(({ plane: number }) => number >= GATEWAYS);
    promise(
      "services that a line of 5 services holds, most",
      Math.max(...held.map(({ services = 0 }) => services)),
      5,
      "",
    );
    promise("resources that it holds, most", Math.max(...held.map(({ resources = 0 }) => resources)), 12, "");
    const wrong = [...all.of("held").values()].filter(({ value }) => value !== last).length;
    promise("data planes that are not at the last revision", wrong, 0, "");
    const whole = codecOf(ResourceSetSchema).encode({ json: JSON.stringify(resourcesOf(versions)) }).byteLength;
    console.log(`all resources are ${Math.round(whole / 1_000)} kB`);
  } finally {
    for (const one of clients) one.send("end");
    await plane.stop();
  }
  if (failures.length > 0) process.exitCode = 1;
}

function resourcesOf(versions: readonly number[]): Resource[] {
  return versions.flatMap((version, i) => {
    const name = `service-${i}`;
    return [
      ...traffic(name)
        .timeout(2_000 + version)
        .retry(2)
        .breaker()
        .resources(),
      ...route(`/v1/${name}`).to(name).resources(),
      ...(i % 5 === 0 ? rateLimit(name).allow(1_000).resources() : []),
    ];
  });
}

function endpoint(service: number, n: number, port = 9_000 + n): Endpoint {
  const name = `service-${service}`;
  const rest = { version: "v1", zone: "", weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const;
  return { id: `${name}-${n}`, service: name, host: "10.0.0.1", port, ...rest };
}

/** What data planes have told. */
class Hearing {
  readonly #latest = new Map<Told["kind"], Map<number, Told>>();
  readonly #wake = new Set<() => void>();

  follow(address: string, index: number): ChildProcess {
    const child = fork(import.meta.filename, ["client", address, String(index)], { execArgv: process.execArgv });
    child.on("message", (told: Told) => {
      const known = this.of(told.kind);
      known.set(told.plane, told);
      for (const wake of this.#wake) wake();
    });
    child.on("exit", (code) => {
      if (code !== 0) throw new Error(`a process of data planes ended with ${code}`);
    });
    return child;
  }

  of(kind: Told["kind"]): Map<number, Told> {
    let known = this.#latest.get(kind);
    if (known === undefined) this.#latest.set(kind, (known = new Map()));
    return known;
  }

  /** When each data plane had heard of a value, or of a later one. */
  async reached(kind: Told["kind"], value: number): Promise<number[]> {
    const known = this.of(kind);
    const has = (told: Told): boolean => told.value >= value;
    await this.until(() => known.size === PLANES && [...known.values()].every(has), `${kind} ${value} everywhere`);
    return Array.from(known.values(), ({ at }) => at);
  }

  until(condition: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#wake.delete(look);
        reject(new Error(`waited in vain for ${what}`));
      }, 60_000);
      const look = (): void => {
        if (!condition()) return;
        clearTimeout(late);
        this.#wake.delete(look);
        resolve();
      };
      this.#wake.add(look);
      look();
    });
  }
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (process.argv[2] === "client") await client(process.argv[3], Number(process.argv[4]));
else await main(process.argv.includes("--smoke"));
