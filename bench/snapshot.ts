import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Endpoint } from "../src/core/endpoint.ts";
import { seededRandom } from "../src/core/random.ts";
import { route, traffic } from "../src/policy/builders.ts";
import { type CallContext, type CallRequest, Effect } from "../src/policy/call.ts";
import type { Resource } from "../src/policy/resource/resources.ts";
import type { PolicyRuntime } from "../src/policy/runtime.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import type { Result } from "./lib/compare.ts";

/**
 * What a large system's snapshot takes: memory, the time to compile it, the time to apply one endpoint's change to it.
 *
 *     node -C weft-source bench/snapshot.ts [--smoke]
 *
 * 1,000 services of 100 endpoints each, 10,000 routes (each to a service's two versions by weight), a policy for each service. Memory is what is held
 * after a full collection, on top of the resources and endpoints as they came, and with them: as a process holds both, the second is what counts.
 */
export interface SnapshotCost {
  readonly services: number;
  readonly routes: number;
  readonly endpoints: number;
  /** Resources and endpoints alone; with the snapshot; with the plans of one call to each route. */
  readonly inputMb: number;
  readonly snapshotMb: number;
  readonly plansMb: number;
  readonly resourcesMs: number;
  readonly endpointsMs: number;
  readonly firstCallsMs: number;
  /** One endpoint's health changes. */
  readonly changeMs: number;
  /** The same with the next call to its service, which brings up to date what its balancer keeps. */
  readonly changeAndCallMs: number;
}

/** How calls are balanced; undefined is the default. */
export type Balancer = Parameters<ReturnType<typeof traffic>["balancer"]>[0] | undefined;

export function snapshotCost(
  services: number,
  routesEach: number,
  endpointsEach: number,
  balancer?: Balancer,
): SnapshotCost {
  const before = usedMb();
  const resources = resourcesOf(services, routesEach, balancer);
  const endpoints = endpointsOf(services, endpointsEach);
  const inputMb = usedMb() - before;

  const runtime = createPolicyRuntime({ random: seededRandom(1) });
  const resourcesMs = timed(() => runtime.applyResources(1, resources, []));
  const endpointsMs = timed(() =>
    runtime.applyEndpoints({ endpointVersion: 1, full: true, changed: endpoints, removed: [] }),
  );
  const snapshotMb = usedMb() - before;
  const firstCallsMs = timed(() => {
    for (let service = 0; service < services; service++)
      for (let i = 0; i < routesEach; i++) callOnce(runtime, `/s${service}/r${i}/x`);
  });
  const plansMb = usedMb() - before;

  // Warm, then the mean of many, in services all over the table.
  let version = 2;
  const sick = new Set<number>();
  /** Falls ill, and is well again the next time. */
  const flip = (at: number): void => {
    const well = sick.delete(at);
    if (!well) sick.add(at);
    const changed: Endpoint[] = [{ ...endpoints[at], health: well ? "healthy" : "unhealthy" }];
    runtime.applyEndpoints({ endpointVersion: version++, full: false, changed, removed: [] });
  };
  const step = Math.max(1, Math.floor(endpoints.length / 997));
  for (let i = 0; i < 2_000; i++) flip((i * step) % endpoints.length);
  const times = 2_000;
  const changeMs = timed(() => {
    for (let i = 0; i < times; i++) flip((i * step) % endpoints.length);
  });
  for (const at of sick) flip(at);
  const changeAndCallMs = timed(() => {
    for (let i = 0; i < 200; i++) {
      const at = (i * step) % endpoints.length;
      flip(at);
      callOnce(runtime, `/s${Math.floor(at / endpointsEach)}/r0/x`);
      flip(at);
    }
  });
  return {
    services,
    routes: services * routesEach,
    endpoints: endpoints.length,
    inputMb,
    snapshotMb,
    plansMb,
    resourcesMs,
    endpointsMs,
    firstCallsMs,
    changeMs: changeMs / times,
    changeAndCallMs: changeAndCallMs / 200,
  };
}

/** For bench/run.ts. */
export function snapshotBench(smoke: boolean): Result[] {
  const cost = smoke ? snapshotCost(50, 10, 20) : snapshotCost(1_000, 10, 100);
  const size = `${cost.services} services, ${cost.routes} routes, ${cost.endpoints} endpoints`;
  const compiledMs = cost.resourcesMs + cost.endpointsMs;
  const memory = cost.plansMb / MOST_MB;
  const change = cost.changeMs / compiledMs;
  return [
    {
      work: `a snapshot of ${size}, with every route's plan`,
      unit: "MB",
      medians: { weft: cost.plansMb, "as it came": cost.inputMb, allowed: MOST_MB },
      claims: [{ peer: "allowed", ratio: memory, atMost: 1, kept: memory <= 1 }],
    },
    {
      work: "applying one endpoint's change to it",
      unit: "ms",
      medians: { weft: cost.changeMs, "with the next call": cost.changeAndCallMs, "compiling it": compiledMs },
      claims: [{ peer: "compiling it", ratio: change, atMost: 0.001, kept: change <= 0.001 }],
    },
  ];
}

const MOST_MB = 400;

function resourcesOf(services: number, routesEach: number, balancer: Balancer): Resource[] {
  const resources: Resource[] = [];
  for (let service = 0; service < services; service++) {
    const name = `service-${service}`;
    const policy = traffic(name).timeout("2s").retry(1);
    resources.push(
      ...(balancer === undefined
        ? policy
        : policy.balancer(balancer, HASHED.has(balancer) ? { hash: [{ by: "address" }] } : {})
      ).resources(),
    );
    for (let i = 0; i < routesEach; i++) {
      const made = route(`/s${service}/r${i}`).to({ [`${name}@v1`]: 90, [`${name}@v2`]: 10 });
      resources.push(...(i % 2 === 0 ? made.exact().or(`/s${service}/r${i}/x`) : made).resources());
    }
  }
  return resources;
}

const HASHED: ReadonlySet<string> = new Set(["ring-hash", "maglev"]);

function endpointsOf(services: number, endpointsEach: number): Endpoint[] {
  const endpoints: Endpoint[] = [];
  for (let service = 0; service < services; service++) {
    for (let i = 0; i < endpointsEach; i++) {
      endpoints.push({
        id: `service-${service}-${i}`,
        service: `service-${service}`,
        host: `10.${service >> 8}.${service & 255}.${i & 255}`,
        port: 9_000,
        version: i % 2 === 0 ? "v1" : "v2",
        zone: `zone-${i % 3}`,
        weight: 1,
        protocol: "h2c",
        health: "healthy",
        metadata: {},
      });
    }
  }
  return endpoints;
}

function callOnce(runtime: PolicyRuntime, path: string): void {
  const request: CallRequest = {
    method: "GET",
    scheme: "http",
    authority: "shop",
    path,
    protocol: "",
    fields: [],
    memo: null,
  };
  const call = runtime.createCall();
  call.begin(request, CONTEXT, false, 0);
  while (call.next() !== Effect.none);
  call.head(1, 200, [], true, 1);
  while (call.next() !== Effect.none);
  if (!call.ended || call.decision.outcome.status !== 200) throw new Error(`${path}: ${call.decision.outcome.reason}`);
  runtime.release(call);
}

const CONTEXT: CallContext = {
  place: "gateway",
  service: "",
  asSent: null,
  peerAddress: "10.1.1.1:4000",
  peerIdentity: "",
  secure: false,
  deadline: Number.POSITIVE_INFINITY,
  callerAttempt: 0,
  requestId: "id",
};

function timed(work: () => void): number {
  const begun = performance.now();
  work();
  return performance.now() - begun;
}

let collect: (() => void) | null = null;

function usedMb(): number {
  if (collect === null) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1_048_576;
}

if (import.meta.main) {
  const smoke = process.argv.includes("--smoke");
  const cost = smoke ? snapshotCost(50, 10, 20) : snapshotCost(1_000, 10, 100);
  const compiledMs = cost.resourcesMs + cost.endpointsMs;
  const mb = (value: number): string => `${value.toFixed(0)} MB`;
  console.log(`${cost.services} services, ${cost.routes} routes, ${cost.endpoints} endpoints`);
  console.log(
    `memory    ${mb(cost.inputMb)} as they came, ${mb(cost.snapshotMb)} with the snapshot, ${mb(cost.plansMb)} with every route's plan`,
  );
  console.log(
    `compile   resources ${cost.resourcesMs.toFixed(0)} ms, endpoints ${cost.endpointsMs.toFixed(0)} ms; first calls of all routes ${cost.firstCallsMs.toFixed(0)} ms`,
  );
  console.log(
    `change    ${(cost.changeMs * 1_000).toFixed(1)} us for one endpoint: 1/${Math.round(compiledMs / cost.changeMs)} of compiling`,
  );
  console.log(`          ${(cost.changeAndCallMs * 1_000).toFixed(1)} us with the next call to its service`);
  for (const balancer of ["ring-hash", "maglev"] as const) {
    const { changeAndCallMs } = snapshotCost(20, 1, 100, balancer);
    console.log(
      `          ${(changeAndCallMs * 1_000).toFixed(1)} us with the next call, ${balancer} over 100 endpoints`,
    );
  }
  if (!smoke) {
    const kept = cost.plansMb <= MOST_MB && cost.changeMs <= compiledMs / 1_000;
    console.log(kept ? "kept: at most 400 MB, at most 1/1,000" : "MISSED: at most 400 MB, at most 1/1,000");
    process.exitCode = kept ? 0 : 1;
  }
}
