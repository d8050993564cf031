import assert from "node:assert/strict";
import { test } from "node:test";
import { createRuntime, settings, WeftError } from "weftmesh";
import { giveSettings } from "weftmesh/testing";
import { Reservation_State } from "./gen/shop/inventory/v1/inventory.ts";
import { Order_State } from "./gen/shop/orders/v1/orders.ts";
import { Payment_State } from "./gen/shop/payments/v1/payments.ts";
import { createInventory, INVENTORY_SCHEMA } from "./inventory/service.ts";
import { createOrders, ORDER_LIMITS, type OrderLimits } from "./orders/service.ts";
import { createOrderStore, ORDERS_SCHEMA } from "./orders/store.ts";
import { createPayments, isCardNumber, PAYMENTS_SCHEMA } from "./payments/service.ts";
import { createProducts, PRODUCTS_SCHEMA } from "./products/service.ts";
import { openDatabase } from "./shared/database.ts";
import { createUsers, USERS_SCHEMA } from "./users/service.ts";

const GOOD_CARD = "4242424242424242";

/** The whole shop in this process, without a socket. */
function shop(limits?: OrderLimits) {
  const users = createUsers(openDatabase("users", USERS_SCHEMA, ":memory:")).call;
  const products = createProducts(openDatabase("products", PRODUCTS_SCHEMA, ":memory:"), "v2").call;
  const inventory = createInventory(openDatabase("inventory", INVENTORY_SCHEMA, ":memory:")).call;
  const payments = createPayments(openDatabase("payments", PAYMENTS_SCHEMA, ":memory:")).call;
  const store = createOrderStore(openDatabase("orders", ORDERS_SCHEMA, ":memory:"));
  const { definition, recover } = createOrders(store, { users, products, inventory, payments }, limits);
  return { users, products, inventory, payments, store, orders: definition.call, recover };
}

function fails(reason: string, code: string) {
  return (error: unknown) => error instanceof WeftError && error.reason === reason && error.code === code;
}

test("an order holds the goods, takes the money and ships", async () => {
  const { orders, inventory, payments } = shop();
  const order = await orders.placeOrder({
    userId: "user-1",
    items: [
      { productId: "yarn", quantity: 3 },
      { productId: "loom", quantity: 1 },
    ],
    cardNumber: GOOD_CARD,
  });
  assert.equal(order.state, Order_State.PAID);
  assert.equal(order.totalCents, 3 * 990 + 48_900);
  assert.deepEqual(await orders.getOrder({ id: order.id }), order);
  const stock = await inventory.getStock({ productId: "loom" });
  assert.deepEqual([stock.available, stock.reserved], [2, 0]);
  const payment = await payments.getPayment({ orderId: order.id });
  assert.deepEqual(
    [payment.amountCents, payment.cardLast4, payment.state],
    [order.totalCents, "4242", Payment_State.CHARGED],
  );
});

test("how much an order may hold changes while orders are taken", async () => {
  const runtime = createRuntime({ env: {} });
  const given = giveSettings({}, { runtime });
  const { orders } = shop(await settings<OrderLimits>(ORDER_LIMITS, { namespace: "orders", runtime }));
  const items = [
    { productId: "yarn", quantity: 1 },
    { productId: "loom", quantity: 1 },
  ];
  const request = { userId: "user-1", items, cardNumber: GOOD_CARD };
  await orders.placeOrder(request);
  await given.set("orders", { maxItems: 1 });
  await assert.rejects(orders.placeOrder(request), fails("BAD_ITEMS", "invalid_argument"));
  await assert.rejects(given.set("orders", { maxItems: 0 }), fails("SETTINGS_REFUSED", "failed_precondition"));
});

test("a declined card gives the goods back and the order says why it failed", async () => {
  const { orders, inventory, payments } = shop();
  const request = { userId: "user-1", items: [{ productId: "loom", quantity: 2 }], cardNumber: "4000000000000002" };
  await assert.rejects(orders.placeOrder(request), fails("CARD_DECLINED", "failed_precondition"));
  const stock = await inventory.getStock({ productId: "loom" });
  assert.deepEqual([stock.available, stock.reserved], [3, 0]);
  const [order] = (await orders.listOrders({ userId: "user-1" })).orders;
  assert.deepEqual([order.state, order.failure], [Order_State.FAILED, "CARD_DECLINED"]);
  await assert.rejects(payments.getPayment({ orderId: order.id }), fails("NO_SUCH_PAYMENT", "not_found"));
});

test("a card that does not cover the amount is refused, one that does pays", async () => {
  const { orders } = shop();
  const order = (quantity: number) =>
    orders.placeOrder({ userId: "user-2", items: [{ productId: "yarn", quantity }], cardNumber: "4000000000009995" });
  await assert.rejects(order(6), fails("INSUFFICIENT_FUNDS", "failed_precondition"));
  assert.equal((await order(5)).state, Order_State.PAID);
});

test("what is not in stock cannot be bought, and nothing is held for it", async () => {
  const { orders, inventory } = shop();
  const items = [
    { productId: "yarn", quantity: 1 },
    { productId: "loom", quantity: 4 },
  ];
  await assert.rejects(
    orders.placeOrder({ userId: "user-1", items, cardNumber: GOOD_CARD }),
    fails("INSUFFICIENT_STOCK", "failed_precondition"),
  );
  assert.equal((await inventory.getStock({ productId: "yarn" })).reserved, 0);
});

test("unknown users, products and bad items are refused before anything is written", async () => {
  const { orders } = shop();
  const order = (userId: string, productId: string, quantity: number) =>
    orders.placeOrder({ userId, items: [{ productId, quantity }], cardNumber: GOOD_CARD });
  await assert.rejects(order("nobody", "yarn", 1), fails("NO_SUCH_USER", "not_found"));
  await assert.rejects(order("user-1", "nothing", 1), fails("NO_SUCH_PRODUCT", "not_found"));
  await assert.rejects(order("user-1", "yarn", 0), fails("BAD_QUANTITY", "invalid_argument"));
  assert.deepEqual((await orders.listOrders({})).orders, []);
});

test("the same request places one order", async () => {
  const { orders } = shop();
  const request = {
    userId: "user-1",
    items: [{ productId: "reed", quantity: 1 }],
    cardNumber: GOOD_CARD,
    requestId: "r-1",
  };
  const first = await orders.placeOrder(request);
  assert.deepEqual(await orders.placeOrder(request), first);
  assert.equal((await orders.listOrders({})).orders.length, 1);
});

test("cancelling refunds, once", async () => {
  const { orders, payments } = shop();
  const { id } = await orders.placeOrder({
    userId: "user-1",
    items: [{ productId: "reed", quantity: 1 }],
    cardNumber: GOOD_CARD,
  });
  for (let i = 0; i < 2; i++) assert.equal((await orders.cancelOrder({ id })).state, Order_State.CANCELLED);
  assert.equal((await payments.getPayment({ orderId: id })).state, Payment_State.REFUNDED);
});

test("an order that a crash interrupted is undone", async () => {
  const { orders, inventory, store, recover } = shop();
  const order = { id: "order-x", userId: "user-1", lines: [], totalCents: 1, state: Order_State.PENDING, failure: "" };
  store.add(order, "", Date.now() - 100_000);
  await inventory.reserve({ orderId: "order-x", lines: [{ productId: "loom", quantity: 3 }] });
  assert.equal(await recover(60_000), 1);
  assert.equal((await inventory.getStock({ productId: "loom" })).available, 3);
  assert.equal((await orders.getOrder({ id: "order-x" })).failure, "INTERRUPTED");
});

test("a release that overtakes its reservation wins", async () => {
  const { inventory } = shop();
  assert.equal((await inventory.release({ orderId: "o" })).state, Reservation_State.RELEASED);
  await assert.rejects(
    inventory.reserve({ orderId: "o", lines: [{ productId: "yarn", quantity: 1 }] }),
    fails("RELEASED", "aborted"),
  );
});

test("watching stock tells every change", async () => {
  const { inventory } = shop();
  const seen: number[] = [];
  for await (const { available } of inventory.watchStock({ productId: "loom" })) {
    seen.push(available);
    if (seen.length === 1) await inventory.reserve({ orderId: "o", lines: [{ productId: "loom", quantity: 1 }] });
    else break;
  }
  assert.deepEqual(seen, [3, 2]);
});

test("lists come in pages", async () => {
  const { products, users } = shop();
  const first = await products.listProducts({ pageSize: 4 });
  const second = await products.listProducts({ pageSize: 4, pageToken: first.nextPageToken });
  assert.deepEqual(
    [...first.products, ...second.products].map(({ id }) => id),
    ["bobbin", "heddle", "loom", "reed", "shuttle", "yarn"],
  );
  assert.equal(second.nextPageToken, "");
  assert.equal((await users.createUser({ name: " New ", email: "new@example.org" })).name, "New");
  await assert.rejects(
    users.createUser({ name: "Again", email: "NEW@example.org" }),
    fails("EMAIL_TAKEN", "already_exists"),
  );
});

test("only v2 of products knows ratings", async () => {
  const v1 = createProducts(openDatabase("products", PRODUCTS_SCHEMA, ":memory:"), "v1").call;
  assert.equal((await v1.getProduct({ id: "yarn" })).rating, undefined);
  assert.equal((await shop().products.getProduct({ id: "yarn" })).rating?.count, 402);
});

test("card numbers have a check digit", () => {
  assert.ok(isCardNumber(GOOD_CARD));
  for (const text of ["4242424242424241", "42", "4242 4242 4242 4242", ""]) assert.ok(!isCardNumber(text), text);
});
