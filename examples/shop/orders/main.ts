import { connect, serve, settings } from "weftmesh";
import { Inventory } from "../gen/shop/inventory/v1/inventory.ts";
import { Payments } from "../gen/shop/payments/v1/payments.ts";
import { Products } from "../gen/shop/products/v1/products.ts";
import { Users } from "../gen/shop/users/v1/users.ts";
import { openDatabase } from "../shared/database.ts";
import { createOrders, ORDER_LIMITS, type OrderLimits } from "./service.ts";
import { createOrderStore, ORDERS_SCHEMA } from "./store.ts";

const db = openDatabase("orders", ORDERS_SCHEMA);
const needs = {
  users: connect(Users),
  products: connect(Products),
  inventory: connect(Inventory),
  payments: connect(Payments),
};
// The newest of them count for each order: weft settings set orders maxItems=3
const limits = await settings<OrderLimits>(ORDER_LIMITS, { namespace: "orders" });
const orders = createOrders(createOrderStore(db), needs, limits);

await serve(orders.definition, { onStop: () => db.close() });

/** No order takes a minute: what is pending for longer was interrupted. */
const INTERRUPTED_AFTER_MS = 60_000;

async function recover(): Promise<void> {
  try {
    const count = await orders.recover(INTERRUPTED_AFTER_MS);
    if (count > 0) console.log(`undid ${count} interrupted orders`);
  } catch (error) {
    console.error(`interrupted orders cannot be undone yet: ${error instanceof Error ? error.message : error}`);
  }
}
void recover();
setInterval(recover, INTERRUPTED_AFTER_MS).unref();
