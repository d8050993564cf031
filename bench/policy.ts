import type { Endpoint } from "../src/core/endpoint.ts";
import { seededRandom } from "../src/core/random.ts";
import { rateLimit, route, traffic } from "../src/policy/builders.ts";
import { type Call, type CallContext, type CallRequest, Effect } from "../src/policy/call.ts";
import { DecisionJournal } from "../src/policy/decision/journal.ts";
import type { Resource } from "../src/policy/resource/resources.ts";
import type { PolicyRuntime } from "../src/policy/runtime.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";

/**
 * What deciding costs: ns for a call's begin, forward, head, trailers and end, without any I/O; and the bytes it leaves to the garbage collector.
 *
 *     node -C weft-source bench/policy.ts [calls]
 */
const CALLS = Number(process.argv[2] ?? 300_000);
const METHOD = {
  path: "/p.Products/Get",
  service: "products",
  idempotent: true,
  clientStreaming: false,
  serverStreaming: false,
};
const HEAD = ["content-type", "application/grpc"];
const OK = ["grpc-status", "0"];
const UNAVAILABLE = ["grpc-status", "14"];

function runtimeWith(
  resources: readonly Resource[],
  replicas = 3,
  journal: DecisionJournal | null = null,
): PolicyRuntime {
  const runtime = createPolicyRuntime({ random: seededRandom(1), journal });
  runtime.applyResources(1, resources, [METHOD]);
  const changed = Array.from({ length: replicas }, (_, i): Endpoint => {
    const version = i % 2 === 0 ? "v1" : "v2";
    const rest = { host: "10.0.0.1", zone: "", weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const;
    return { id: `products-${i}`, service: "products", port: 9_000 + i, version, ...rest };
  });
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  return runtime;
}

const context: CallContext = {
  place: "gateway",
  service: "",
  asSent: null,
  peerAddress: "10.1.1.1:4000",
  peerIdentity: "",
  secure: false,
  deadline: Number.POSITIVE_INFINITY,
  callerAttempt: 0,
  requestId: "0f3a9c",
};

function request(path: string): CallRequest {
  return { method: "POST", scheme: "http", authority: "shop", path, protocol: "", fields: HEAD, memo: null };
}

function drain(call: Call): void {
  while (call.next() !== Effect.none);
}

let now = 0;

function carry(runtime: PolicyRuntime, head: CallRequest): void {
  const call = runtime.createCall();
  call.begin(head, context, false, now);
  drain(call);
  call.connected(1, now);
  now += 0.001;
  call.head(1, 200, HEAD, false, now);
  drain(call);
  call.trailers(1, OK, now);
  drain(call);
  runtime.release(call);
}

function carryRetried(runtime: PolicyRuntime, head: CallRequest): void {
  const call = runtime.createCall();
  call.begin(head, context, false, now);
  drain(call);
  now += 200; // so seldom that the budget pays for every retry
  call.head(1, 200, UNAVAILABLE, true, now);
  drain(call);
  now += 25;
  call.timer(2, now);
  drain(call);
  call.head(2, 200, OK, true, now);
  drain(call);
  runtime.release(call);
}

function measure(name: string, one: () => void): void {
  for (let i = 0; i < 30_000; i++) one();
  const rounds: number[] = [];
  const heapBefore = process.memoryUsage().heapUsed;
  for (let round = 0; round < 5; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < CALLS / 5; i++) one();
    const used = process.cpuUsage(before);
    rounds.push(((used.user + used.system) * 1_000) / (CALLS / 5));
  }
  const heap = process.memoryUsage().heapUsed - heapBefore;
  const median = rounds.sort((a, b) => a - b)[2];
  const garbage = heap > 0 ? `heap grew ${Math.round(heap / CALLS)} B a call` : "";
  console.log(`${name.padEnd(42)} ${String(Math.round(median)).padStart(6)} ns CPU a call   ${garbage}`);
}

const known = request(METHOD.path);
const defaults = runtimeWith([]);
measure("default policy, head known", () => carry(defaults, known));
measure("default policy, head new each time", () => carry(defaults, request(METHOD.path)));
const remembering = runtimeWith([], 3, new DecisionJournal());
measure("default policy, decisions remembered", () => carry(remembering, known));
const many = runtimeWith([], 500);
measure("default policy, 500 endpoints", () => carry(many, known));
const full = runtimeWith([
  ...route("/p.Products").to({ "products@v1": 95, "products@v2": 5 }).resources(),
  ...traffic("products").timeout("2s", "1s").breaker().limits({ maxInFlight: 1_000 }).resources(),
  ...rateLimit("products").allow(1_000_000_000).by("address").resources(),
]);
const routed = request(METHOD.path);
measure("split, both time-outs, window breaker, limit", () => carry(full, routed));
const routes = Array.from({ length: 1_000 }, (_, i) =>
  route(`/v1/things-${i}/items`).to("products").resources(),
).flat();
const large = runtimeWith(routes);
measure("1,000 routes, head new each time", () => carry(large, request("/v1/things-777/items/4")));
measure("one retry", () => carryRetried(defaults, known));
const strict = runtimeWith(rateLimit("products").allow(1, "1h").resources());
const refused = request(METHOD.path);
measure("refused by a rate limit", () => {
  const call = strict.createCall();
  call.begin(refused, context, false, now);
  drain(call);
  strict.release(call);
});
