import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect, WeftError } from "weftmesh";
import { Counter } from "../examples/counter/gen/counter/v1/counter.ts";
import { Inventory } from "../examples/shop/gen/shop/inventory/v1/inventory.ts";
import { Products } from "../examples/shop/gen/shop/products/v1/products.ts";
import { assertGone, RunningSystem, weft } from "./running-system.ts";

const SHOP = join(import.meta.dirname, "..", "examples", "shop");
const GOOD_CARD = "4242424242424242";

/** Calls without pause, so many at a time, until `during` is over. Returns how many there were and what failed. */
async function underLoad(
  call: () => Promise<unknown>,
  during: () => Promise<unknown>,
): Promise<{ calls: number; failures: string[] }> {
  let over = false;
  let calls = 0;
  const failures: string[] = [];
  const caller = async (): Promise<void> => {
    while (!over) {
      calls++;
      await call().catch((error: unknown) =>
        failures.push(error instanceof WeftError ? `${error.code}: ${error.message}` : String(error)),
      );
    }
  };
  const callers = Promise.all(Array.from({ length: 4 }, caller));
  try {
    await during();
  } finally {
    over = true;
    await callers;
  }
  return { calls, failures };
}

test("the shop comes up, serves, survives crashes and restarts, and stops without a trace", {
  timeout: 240_000,
}, async (t: TestContext) => {
  const system = new RunningSystem(t, SHOP);
  const gateway = await system.ready();
  const address = new URL(gateway).host;
  const inShop = ["--state", system.state, "-C", SHOP];

  const rest = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(gateway + path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    return { status: response.status, text, json: isJson ? JSON.parse(text) : null };
  };
  const list = async (): Promise<void> => {
    const { status, text } = await rest("GET", "/v1/products");
    if (status !== 200) throw new Error(`status ${status}: ${text}`);
  };

  await t.test("every unit starts after what it needs", () => {
    const order = system.events.filter(({ type }) => type === "ready").map(({ unit }) => unit);
    assert.equal(order[0], "control");
    assert.equal(order.at(-1), "gateway");
    for (const need of ["users", "products@v1", "products@v2", "inventory", "payments"]) {
      assert.ok(order.lastIndexOf(need) < order.indexOf("orders"), `orders before ${need}`);
    }
  });

  await t.test("REST is served through the gateway", async () => {
    const products = await rest("GET", "/v1/products?page_size=3");
    assert.equal(products.status, 200);
    assert.deepEqual(
      products.json.products.map(({ id }: { id: string }) => id),
      ["bobbin", "heddle", "loom"],
    );
    const counter = await rest("GET", "/counter");
    assert.deepEqual([counter.status, counter.text], [200, "Hello, Counter Service!"]);
    const missing = await rest("GET", "/v1/products/nothing");
    assert.deepEqual([missing.status, missing.json.reason], [404, "NO_SUCH_PRODUCT"]);
    assert.equal((await rest("GET", "/nowhere")).status, 404);
  });

  await t.test("an order passes through five services, and is undone when the card is declined", async () => {
    const order = (cardNumber: string) =>
      rest("POST", "/v1/orders", { userId: "user-1", items: [{ productId: "loom", quantity: 1 }], cardNumber });
    const before = (await rest("GET", "/v1/stock/loom")).json.available;
    const paid = await order(GOOD_CARD);
    assert.deepEqual([paid.status, paid.json.state, paid.json.totalCents], [200, "STATE_PAID", 48_900]);
    const declined = await order("4000000000000002");
    assert.deepEqual([declined.status, declined.json.reason], [400, "CARD_DECLINED"]);
    assert.equal((await rest("GET", "/v1/stock/loom")).json.available, before - 1);
    assert.equal((await rest("GET", `/v1/orders/${paid.json.id}`)).json.state, "STATE_PAID");
  });

  await t.test("calls that pass no gateway are shown, too", async () => {
    const order = { userId: "user-1", items: [{ productId: "yarn", quantity: 1 }], cardNumber: GOOD_CARD };
    for (let i = 0; ; i++) {
      assert.equal((await rest("POST", "/v1/orders", order)).status, 200);
      const instances = await system.instances();
      const callsOf = (name: string) => instances.find(({ service }) => service === name)?.calls;
      const payments = callsOf("payments");
      if (payments && payments.perSecond > 0 && payments.p99Ms > 0 && callsOf("gateway")?.p99Ms) break;
      assert.ok(i < 100, "payments are never shown to be called");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });

  await t.test(
    "a call is explained across every service that it passed, and recorded calls are decided again",
    async () => {
      const file = join(system.state, "calls.weft.gz");
      const recording = weft("record", file, "--for", "2s", "--json", ...inShop);
      let over = false;
      recording.finally(() => (over = true));
      const listing = (async () => {
        // Not as fast as it goes: a process remembers its last 768 calls that went well, and this one's decision is asked for below.
        while (!over) {
          await list();
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      })();
      // An id of the caller's own names the call on every hop.
      const order = { userId: "user-1", items: [{ productId: "yarn", quantity: 1 }], cardNumber: GOOD_CARD };
      const headers = { "content-type": "application/json", "x-request-id": "explained-1" };
      const answer = await fetch(`${gateway}/v1/orders`, { method: "POST", body: JSON.stringify(order), headers });
      assert.deepEqual([answer.status, answer.headers.get("x-request-id")], [200, "explained-1"]);
      const { status, stdout, stderr } = await weft("explain", "explained-1", ...inShop);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^POST \/v1\/orders {2}-> {2}200 after /);
      for (const service of ["users", "products", "inventory", "payments"])
        assert.match(
          stdout,
          new RegExp(`^ {6}POST /shop\\.${service}\\.v1\\.\\w+/\\w+ .* client orders-`, "m"),
          stdout,
        );
      const madeUp = await weft("explain", "--path", "/v1/products/loom", "--json", ...inShop);
      assert.equal(JSON.parse(madeUp.stdout).candidates.length, 3, madeUp.stderr);
      const contractAlone = await weft("explain", "--method", "POST", "--path", "/v1/orders", ...inShop);
      assert.match(contractAlone.stdout, /^POST \/v1\/orders {2}-> {2}200 .*\n {2}route +implicit -> orders$/m);
      await listing;
      const recorded = await recording;
      assert.equal(recorded.status, 0, recorded.stderr);
      const { calls, identical, proposal } = JSON.parse(
        (await weft("replay", file, "--policy", SHOP, "--json")).stdout,
      );
      assert.ok(calls > 0 && identical === calls, `${identical} of ${calls}`);
      assert.deepEqual(proposal.flips, []);
    },
  );

  await t.test("gRPC and its streams are served on the same port", async () => {
    assert.equal((await connect(Counter, { address }).count({ count: 41n })).count, 42n);
    assert.equal((await connect(Products, { address }).listProducts({})).products.length, 6);
    for await (const { available } of connect(Inventory, { address }).watchStock({ productId: "yarn" })) {
      assert.ok(available > 0);
      break;
    }
    await assert.rejects(
      connect(Products, { address }).getProduct({ id: "x" }),
      (error: WeftError) => error.reason === "NO_SUCH_PRODUCT",
    );
  });

  await t.test("a killed replica costs no call, and comes back", async () => {
    const victim = (await system.instances()).find(({ unit }) => unit === "products@v1");
    assert.ok(victim !== undefined);
    const from = system.events.length;
    const { calls, failures } = await underLoad(list, async () => {
      process.kill(victim.pid, "SIGKILL");
      const crashed = await system.event(({ type, id }) => type === "crashed" && id === victim.id, from);
      assert.equal(crashed.text, "killed by SIGKILL");
      await system.event(({ type, id }) => type === "ready" && id === victim.id, from);
    });
    assert.deepEqual(failures, []);
    assert.ok(calls > 50, `${calls} calls`);
    const back = (await system.instances()).find(({ id }) => id === victim.id);
    assert.deepEqual([back?.state, back?.restarts, back?.lastReason], ["ready", 1, "killed by SIGKILL"]);
  });

  await t.test("weft restart replaces every instance without a failed call", async () => {
    const before = (await system.instances()).filter(({ service }) => service === "products").map(({ pid }) => pid);
    const { calls, failures } = await underLoad(list, async () => {
      const { status, stdout, stderr } = await weft("restart", "products", ...inShop);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^replaced every instance of products in /);
    });
    assert.deepEqual(failures, []);
    assert.ok(calls > 50, `${calls} calls`);
    const after = (await system.instances()).filter(
      ({ service, state }) => service === "products" && state === "ready",
    );
    assert.equal(after.length, 3);
    assert.ok(after.every(({ pid }) => !before.includes(pid)));
    await assertGone(before);
  });

  await t.test("the control plane may die and come back without a failed call", async () => {
    const control = (await system.instances()).find(({ unit }) => unit === "control");
    assert.ok(control !== undefined);
    const from = system.events.length;
    const { failures } = await underLoad(list, async () => {
      process.kill(control.pid, "SIGKILL");
      await system.event(({ type, id }) => type === "ready" && id === control.id, from);
    });
    assert.deepEqual(failures, []);
    const now = (await system.instances()).find(({ unit }) => unit === "control");
    assert.equal(now?.address, control.address);
  });

  await t.test("ps, logs and call talk to the running system", async () => {
    const ps = await weft("ps", ...inShop);
    assert.match(ps.stdout, /^INSTANCE +VERSION +HEALTH/);
    assert.match(ps.stdout, /^products-v2-\d+ +v2 +healthy/m);
    const logs = await weft("logs", "products", ...inShop);
    assert.match(logs.stdout, /products-v1-\d+ killed by SIGKILL/);
    const unknown = await weft("logs", "product", ...inShop);
    assert.deepEqual([unknown.status, /did you mean "products"\?/.test(unknown.stderr)], [1, true]);
    const call = await weft("call", "counter.v1.Counter/Count", '{"count": 1}', "--explain", ...inShop);
    assert.equal(call.status, 0, call.stderr);
    assert.deepEqual(JSON.parse(call.stdout), { count: "2" });
    assert.match(call.stderr, /attempt 1/);
    const direct = await weft("call", "counter.v1.Counter/Count", '{"count": 1}', "--address", address);
    assert.deepEqual([direct.status, direct.stdout], [0, '{"count":"2"}\n']);
  });

  await t.test("SIGTERM stops it in reverse order and nothing is left", async () => {
    const pids = await system.pids();
    assert.ok(pids.length >= 11, `${pids.length} processes`);
    const from = system.events.length;
    system.child.kill("SIGTERM");
    assert.deepEqual(await system.exit, { status: 0, signal: null });
    const ended = system.events.slice(from).filter(({ type }) => type === "exited");
    assert.equal(ended[0].unit, "gateway");
    assert.equal(ended.at(-1)?.unit, "control");
    assert.ok(ended.findLastIndex(({ unit }) => unit === "orders") < ended.findIndex(({ unit }) => unit === "users"));
    assert.ok(
      ended.every(({ text }) => text === "stopped (exit status 0)"),
      JSON.stringify(ended),
    );
    await assertGone(pids);
    assert.ok(!existsSync(join(system.state, "run.json")));
  });
});
