/**
 * Finding a route among 10,000 and among 10: half exact paths, half prefixes, every tenth under a host of its own; requests are spread over all of them and their heads are new each
 * time, so that nothing is remembered. And what a route takes of memory.
 *
 *     node bench/run.ts routes                       built JavaScript
 *     node -C weft-source bench/routes.ts            the sources
 */
import { join } from "node:path";
import type { CallRequest } from "../src/policy/call.ts";
import type { HTTPRoute, Resource } from "../src/policy/resource/resources.ts";
import { compare, print, type Result } from "./lib/compare.ts";

type Tables = typeof import("../src/policy/route/route-table.ts");
type Entries = typeof import("../src/policy/route/route-entries.ts");
type Builders = typeof import("../src/policy/builders.ts");

const root = join(import.meta.dirname, "..");

export async function routes(smoke: boolean): Promise<Result[]> {
  const { RouteTable } = await load<Tables>("policy/route/route-table");
  const { routeEntries } = await load<Entries>("policy/route/route-entries");
  const { route } = await load<Builders>("policy/builders");
  const finds = smoke ? 2_000 : 200_000;

  const world = (count: number): World => {
    const before = heap();
    const resources: Resource[] = [];
    for (let i = 0; i < count; i++) {
      const one = route(pathOf(i))
        .to(`service-${i % 10}`)
        .named(`r${i}`);
      const path = i % 2 === 0 ? one.exact() : one;
      resources.push(...(i % 10 === 9 ? path.host(hostOf(i)) : path).resources());
    }
    const table = new RouteTable(resources.flatMap((resource, i) => routeEntries(resource as HTTPRoute, i)));
    const bytesEach = (heap() - before) / count;
    return {
      bytesEach,
      make: (at) => request(at).path.length > 0,
      find: (at) => table.find(request(at)) !== null,
    };
  };
  const many = world(10_000);
  const few = world(10);
  /** The time of `one` for requests to all routes, by a stride: what the caches hold of ten thousand routes is not what comes next. */
  const timed = (count: number, one: (at: number) => boolean): number => {
    const started = process.cpuUsage();
    let found = 0;
    for (let i = 0, at = 0; i < finds; i++, at = (at + 7_919) % count) if (one(at)) found++;
    const { user, system } = process.cpuUsage(started);
    if (found !== finds) throw new Error(`${finds - found} requests found no route`);
    return ((user + system) * 1_000) / finds;
  };
  // Making a request's head costs what it costs: it is taken off.
  const run =
    (count: number, { find, make }: World) =>
    () =>
      timed(count, find) - timed(count, make);
  const found = await compare(
    "finding a route",
    "ns CPU",
    [
      { name: "10,000 routes", run: run(10_000, many) },
      { name: "10 routes", run: run(10, few) },
    ],
    [{ peer: "10 routes", atMost: 2 }],
    smoke ? 1 : 9,
  );
  const medians = { "10,000 routes": many.bytesEach };
  return [found, { work: "memory of a route and its resource", unit: "bytes", medians, claims: [] }];
}

interface World {
  readonly bytesEach: number;
  make(at: number): boolean;
  find(at: number): boolean;
}

async function load<Module>(name: string): Promise<Module> {
  const source = process.execArgv.includes("weft-source");
  return (await import(join(root, source ? `src/${name}.ts` : `dist/${name}.js`))) as Module;
}

function pathOf(at: number): string {
  return `/v1/group-${at % 100}/things-${at}`;
}

function hostOf(at: number): string {
  return `host-${at}.shop.example`;
}

function request(at: number): CallRequest {
  const path = at % 2 === 0 ? pathOf(at) : `${pathOf(at)}/items/4`;
  const authority = at % 10 === 9 ? hostOf(at) : "shop.example";
  return { method: "GET", scheme: "http", authority, path, protocol: "", fields: FIELDS, memo: null };
}

const FIELDS = ["accept", "application/json"];
/** Exact only with --expose-gc. */
function heap(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

if (process.argv[1] === import.meta.filename) {
  for (const result of await routes(process.argv.includes("--smoke"))) print(result);
}
