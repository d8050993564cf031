import assert from "node:assert/strict";
import { test } from "node:test";
import { assertCovered, simulate } from "weftmesh/testing";
import { Inventory } from "../../examples/shop/gen/shop/inventory/v1/inventory.ts";
import { Order_State, Orders } from "../../examples/shop/gen/shop/orders/v1/orders.ts";
import { Payments } from "../../examples/shop/gen/shop/payments/v1/payments.ts";
import { Products } from "../../examples/shop/gen/shop/products/v1/products.ts";
import { Users } from "../../examples/shop/gen/shop/users/v1/users.ts";
import { createInventory, INVENTORY_SCHEMA } from "../../examples/shop/inventory/service.ts";
import { createOrders } from "../../examples/shop/orders/service.ts";
import { createOrderStore, ORDERS_SCHEMA } from "../../examples/shop/orders/store.ts";
import { createPayments, PAYMENTS_SCHEMA } from "../../examples/shop/payments/service.ts";
import { createProducts, PRODUCTS_SCHEMA } from "../../examples/shop/products/service.ts";
import { openDatabase } from "../../examples/shop/shared/database.ts";
import { createUsers, USERS_SCHEMA } from "../../examples/shop/users/service.ts";
import system from "../../examples/shop/weft.config.ts";

test("one stalled product server does not slow the shop", async () => {
  const world = simulate(system, { seed: 7 });
  world.fault("products#2", { stallMs: 2_000 });
  const seen = await world.load("GET /v1/products", { perSecond: 200, forMs: 60_000 }); // virtual time: takes milliseconds
  assert.ok(seen.successRate >= 0.999, `${seen.successRate}`);
  assert.ok(seen.p99 < 50, `p99 ${seen.p99} ms`);
});

test("every route and policy of products is exercised", async () => {
  const world = simulate(system, { seed: 7 });
  await world.load("GET /v1/products", { perSecond: 50, forMs: 10_000 });
  const down = world.fault("products#1", { down: true });
  await world.load("GET /v1/products", { perSecond: 50, forMs: 1_000 }); // lost attempts go elsewhere: retry acts
  down.clear();
  world.fault("products", { stallMs: 3_000 });
  assert.equal((await world.call("GET /v1/products")).reason, "DEADLINE_EXCEEDED"); // timeout acts
  assertCovered(world, { except: ["TrafficPolicy/payments*", "TrafficPolicy/orders*"] });
});

test("an order is placed by the shop's own handlers, though a payment server is lost on the way", async () => {
  const database = (name: string, schema: string) => openDatabase(name, schema, ":memory:");
  const world = simulate(system, {
    services: {
      users: { definition: createUsers(database("users", USERS_SCHEMA)) },
      products: { definition: createProducts(database("products", PRODUCTS_SCHEMA), "v1") },
      inventory: { definition: createInventory(database("inventory", INVENTORY_SCHEMA)) },
      payments: { definition: createPayments(database("payments", PAYMENTS_SCHEMA)), replicas: 2 },
      orders: {
        contract: Orders,
        definition: (mesh) =>
          createOrders(createOrderStore(database("orders", ORDERS_SCHEMA)), {
            users: mesh.connect(Users),
            products: mesh.connect(Products),
            inventory: mesh.connect(Inventory),
            payments: mesh.connect(Payments),
          }).definition,
      },
    },
  });
  world.fault("payments#1", { down: true });
  const order = { userId: "user-1", items: [{ productId: "yarn", quantity: 1 }], cardNumber: "4242424242424242" };
  for (let i = 0; i < 4; i++) {
    const call = await world.call("POST /v1/orders", { body: JSON.stringify({ ...order, requestId: `order-${i}` }) });
    assert.equal(call.status, 200, call.explain());
    assert.equal((call.message as { state: Order_State }).state, Order_State.PAID);
  }
  const charged = world.decisions({ service: "payments" });
  assert.ok(charged.some(({ attempts }) => attempts[0].outcome === "connect-failure" && attempts.length === 2));
});
