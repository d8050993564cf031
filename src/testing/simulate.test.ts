import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rateLimit, route, traffic } from "../policy/builders.ts";
import { simulate } from "./simulate.ts";
import type { LoadReport, SimulatedSystem } from "./types.ts";

const shop: SimulatedSystem = {
  services: { products: { replicas: 3, latencyMs: 10 } },
  routes: [route("/v1/products").to("products")],
};

test("a call takes the modelled time and leaves its decision", async () => {
  const world = simulate(shop);
  const call = await world.call("GET /v1/products");
  assert.deepEqual([call.status, call.reason, call.durationMs, call.attempts, call.ok], [200, "", 10, 1, true]);
  assert.equal(world.now, 10);
  assert.equal(call.decision.service, "products");
  assert.match(call.explain(), /^GET \/v1\/products {2}-> {2}200 after 10 ms/);
  assert.equal(world.decisions({ service: "products" }).length, 1);
});

test("calls that begin together run at once", async () => {
  const world = simulate(shop);
  const calls = await Promise.all([1, 2, 3].map(() => world.call("GET /v1/products")));
  assert.deepEqual(
    calls.map(({ durationMs }) => durationMs),
    [10, 10, 10],
  );
  assert.equal(world.now, 10);
});

test("a stalled server does what it holds once the stall is over", async () => {
  const world = simulate({ ...shop, services: { products: { latencyMs: 10 } } });
  world.fault("products#1", { stallMs: 2_000 });
  const call = await world.call("GET /v1/products");
  assert.deepEqual([call.status, call.durationMs], [200, 2_010]);
});

test("a time-out shows, with the nearest change", async () => {
  const world = simulate({ ...shop, policies: [traffic("products").timeout("50ms").retry(0)] });
  world.fault("products", { stallMs: 2_000 });
  const call = await world.call("GET /v1/products");
  assert.deepEqual([call.status, call.reason, call.durationMs], [504, "DEADLINE_EXCEEDED", 50]);
  assert.match(call.explain(), /nearest {4}might have passed with more than 50 ms/);
});

test("refused connections, lost ones, errors and answers that never come", async () => {
  const world = simulate({ ...shop, policies: [traffic("*").retry(0).timeout("1s").breaker(false)] });
  const down = world.fault("products", { down: true });
  assert.equal((await world.call("GET /v1/products")).decision.attempts[0].outcome, "connect-failure");
  down.clear();
  const lost = world.fault("products", { resetRate: 1 });
  assert.equal((await world.call("GET /v1/products")).decision.attempts[0].outcome, "reset");
  lost.clear();
  const wrong = world.fault("products", { errorRate: 1, status: 502 });
  assert.equal((await world.call("GET /v1/products")).status, 502);
  assert.equal((await world.call("shop.v1.Products/Get", { service: "products" })).grpcStatus, 14);
  wrong.clear();
  world.fault("products", { hangRate: 1, forMs: 2_000 });
  assert.equal((await world.call("GET /v1/products")).reason, "DEADLINE_EXCEEDED");
  await world.advance(2_000);
  assert.equal((await world.call("GET /v1/products")).status, 200);
});

test("what is under way is lost when its server goes down", async () => {
  const world = simulate({ ...shop, policies: [traffic("*").retry(1)] });
  world.fault("products", { down: true, from: 5, forMs: 1 });
  const call = await world.call("GET /v1/products");
  assert.deepEqual(call.decision.attempts.map(({ outcome }) => outcome).slice(0, 1), ["reset"]);
});

test("one server at a time: the second call waits in line; a full line refuses", async () => {
  const one = { latencyMs: 10, concurrency: 1 };
  const system = { services: { products: one }, policies: [traffic("*").retry(0)], routes: shop.routes };
  const world = simulate(system);
  const calls = await Promise.all([1, 2, 3].map(() => world.call("GET /v1/products")));
  assert.deepEqual(
    calls.map(({ durationMs }) => durationMs),
    [10, 20, 30],
  );
  const short = simulate({ ...system, services: { products: { ...one, maxWaiting: 1 } } });
  const more = await Promise.all([1, 2, 3].map(() => short.call("GET /v1/products")));
  assert.deepEqual(
    more.map(({ status }) => status),
    [200, 200, 503],
  );
});

test("shared processors make all slower", async () => {
  const world = simulate({ ...shop, services: { products: { latencyMs: 10, concurrency: 1, above: "share" } } });
  const calls = await Promise.all([1, 2].map(() => world.call("GET /v1/products")));
  assert.deepEqual(
    calls.map(({ durationMs }) => durationMs),
    [20, 20],
  );
});

test("a load is counted: rates, percentiles, shares", async () => {
  const world = simulate(shop);
  const seen = await world.load("GET /v1/products", { perSecond: 300, forMs: 10_000 });
  assert.ok(seen.calls > 2_800 && seen.calls < 3_200, `${seen.calls}`);
  assert.equal(seen.successRate, 1);
  assert.ok(Math.abs(seen.p50 - 10) < 1e-6 && Math.abs(seen.p999 - 10) < 1e-6);
  assert.deepEqual(Object.keys(seen.byEndpoint), ["products-1", "products-2", "products-3"]);
  assert.equal(seen.attempts, seen.calls);
  const even = await simulate(shop).load("GET /v1/products", { perSecond: 100, forMs: 1_000, arrivals: "even" });
  assert.equal(even.calls, 100);
  const callers = await simulate(shop).load("GET /v1/products", { callers: 4, forMs: 1_000 });
  assert.equal(callers.calls, 400);
});

test("a limit refuses what is above it, and the load says so", async () => {
  const world = simulate({ ...shop, policies: [rateLimit("products").allow(10, "1s").burst(10)] });
  const seen = await world.load("GET /v1/products", { perSecond: 100, forMs: 10_000, arrivals: "even" });
  assert.ok(seen.succeeded >= 105 && seen.succeeded <= 110, `${seen.succeeded}`);
  assert.equal(seen.byReason.RATE_LIMITED, seen.rejected);
});

test("a queue of services: a call passes the gateway and each service's own client, with its deadline", async () => {
  const world = simulate({
    services: {
      orders: { latencyMs: 5, calls: ["products", ["payments", { service: "mail", optional: true }]] },
      products: { latencyMs: 10 },
      payments: { latencyMs: 20 },
      mail: { errorRate: 1 },
    },
    routes: [route("/v1/orders").to("orders")],
  });
  const call = await world.call("GET /v1/orders");
  assert.deepEqual([call.status, call.durationMs], [200, 35]);
  assert.deepEqual(world.decisions({ service: "orders" }).length, 1);
  world.fault("payments", { errorRate: 1 });
  assert.equal((await world.call("GET /v1/orders")).status, 503);
});

test("endpoints come, go and fail their health check", async () => {
  const world = simulate(shop);
  const products = world.endpoints("products");
  assert.equal(products.add({ speed: 0.5 }), "products-4");
  for (const id of ["products-1", "products-2"]) products.remove(id);
  products.health("#1", "unhealthy");
  assert.deepEqual(products.list(), ["products-3", "products-4"]);
  const call = await world.call("GET /v1/products");
  assert.deepEqual([call.decision.attempts[0].endpoint, call.durationMs], ["products-4", 20]);
});

test("new resources hold from then on", async () => {
  const world = simulate(shop);
  world.apply([route("/v2").to("products")]);
  assert.equal((await world.call("GET /v1/products")).status, 404);
  assert.equal((await world.call("GET /v2")).decision.revision, 2);
});

test("headers that policy adds arrive, and the model's answer comes back changed", async () => {
  const world = simulate({
    services: {
      products: { answer: ({ fields, path }) => ({ fields: { "x-seen": `${fields["x-from"]} ${path}` }, body: "hi" }) },
    },
    routes: [
      route("/v1")
        .to("products")
        .headers({ set: { "x-from": "gateway" } })
        .responseHeaders({ set: { "x-by": "weft" } })
        .rewrite("/in"),
    ],
  });
  const call = await world.call("GET /v1/a");
  assert.deepEqual([call.fields["x-seen"], call.fields["x-by"], call.body], ["gateway /in/a", "weft", "hi"]);
});

test("a system's description is a world: what is only run gets a model", async () => {
  const system = {
    name: "shop",
    services: { products: { run: "products/main.ts", replicas: 2 }, payments: { run: "payments/main.ts" } },
    routes: [route("/v1/products").to("products")],
  };
  const world = simulate(system, { seed: 7, services: { payments: { latencyMs: 3 } } });
  assert.equal((await world.call("GET /v1/products")).status, 200);
  assert.equal((await world.call("GET /", { service: "payments" })).durationMs, 3);
});

test("what is wrong is told at once", () => {
  assert.throws(() => simulate({ services: { a: { latencyMs: -1 } } }), /a\.latencyMs: -1 must be/);
  assert.throws(() => simulate({ services: {} }, { services: { b: {} } }), /there is no service "b"/);
  assert.throws(() => simulate(shop).fault("products#9", { down: true }), /"products#9" is no endpoint/);
  assert.throws(() => simulate(shop).fault("product", { down: true }), /did you mean "products"/);
  assert.throws(() => simulate(shop).fault("products", { errorRate: 5 }), /between 0 and 1/);
});

test("what can never end is an error, not a hang", async () => {
  const world = simulate({ ...shop, policies: [traffic("*").timeout(0)] });
  world.fault("products", { hangRate: 1 });
  await assert.rejects(world.call("GET /v1/products"), /stands still at 0 ms/);
  world.chaos({ everyMs: 3_600_000, lastingMs: 1_000, kinds: ["slow"] });
  await assert.rejects(world.call("GET /v1/products"), /does not come within 30 days/);
});

test("chaos is drawn from the seed, holds for its time, and can be ended", async () => {
  const run = async (seed: number) => {
    const world = simulate({ ...shop, policies: [traffic("*").timeout("200ms", "50ms").retry(2)] }, { seed });
    const chaos = world.chaos({ everyMs: 2_000, lastingMs: 500 });
    const seen = await world.load("GET /v1/products", { perSecond: 100, forMs: 60_000, keep: "none" });
    chaos.clear();
    const after = await world.load("GET /v1/products", { perSecond: 100, forMs: 10_000, warmUpMs: 5_000 });
    return { faults: chaos.faults, seen, after };
  };
  const { faults, seen, after } = await run(4);
  assert.ok(faults.length > 15 && faults.length < 50, `${faults.length}`);
  assert.ok(new Set(faults.map(({ kind }) => kind)).size >= 5);
  assert.ok(new Set(faults.map(({ target }) => target)).size === 3);
  assert.ok(seen.successRate > 0.98, `${seen.successRate}`);
  assert.equal(after.successRate, 1);
  assert.deepEqual((await run(4)).faults, faults);
  assert.notDeepEqual((await run(5)).faults, faults);
  assert.throws(() => simulate(shop).chaos({ everyMs: 0, lastingMs: 1 }), /everyMs must be above 0/);
  assert.throws(() => simulate(shop).chaos({ everyMs: 1, lastingMs: 1, targets: ["nothing"] }), /no service "nothing"/);
});

test("the same seed gives the same world, another seed another", async () => {
  const run = async (seed: number): Promise<LoadReport> => {
    const world = simulate(
      {
        services: {
          products: {
            replicas: 4,
            latencyMs: { logNormal: { p50: 10, p99: 90 } },
            concurrency: 3,
            above: "share",
            errorRate: 0.01,
          },
        },
        routes: shop.routes,
        policies: [traffic("*").timeout("300ms", "100ms").retry(2)],
      },
      { seed },
    );
    world.fault("products#2", { stallMs: 400, from: 300 });
    world.fault("products#3", { resetRate: 0.1, from: 500, forMs: 500 });
    return await world.load("GET /v1/products", { perSecond: 200, forMs: 2_000, keep: "all" });
  };
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const one = await run(seed);
      assert.deepEqual(await run(seed), one);
      assert.notDeepEqual((await run(seed + 1)).mean, one.mean);
    }),
    { numRuns: 5 },
  );
});

test("a misspelt field of a service or a fault is said so, where no compiler does", () => {
  const misspelt: object = { latency: 5 };
  assert.throws(
    () => simulate({ services: { products: misspelt } }),
    /services\.products has no field latency; did you mean "latencyMs"\?/,
  );
  const world = simulate({ services: { products: { replicas: 2 } } });
  const fault: object = { stallMS: 5 };
  assert.throws(() => world.fault("products", fault), /a fault has no field stallMS; did you mean "stallMs"\?/);
});
