import { connect, WeftError } from "weftmesh";
import { Counter } from "../counter/gen/counter/v1/counter.ts";
import { Products } from "./gen/shop/products/v1/products.ts";

/**
 * A small load driver: WEFT_LOAD calls a second against the gateway at WEFT_TARGET, REST and gRPC mixed as a shop has them: mostly
 * looking, some buying. `weft up examples/shop --load 50` runs it. Every 10 seconds it says how many calls there were and what failed.
 */
const target = new URL(process.env.WEFT_TARGET ?? "http://127.0.0.1:8080");
const perSecond = Number(process.env.WEFT_LOAD ?? 50);
const products = connect(Products, { address: target.host });
const counter = connect(Counter, { address: target.host });

const PRODUCTS = ["bobbin", "heddle", "reed", "shuttle", "yarn"];
const any = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T;

/** What is called, by weight. */
const MIX: readonly (readonly [weight: number, name: string, call: () => Promise<unknown>])[] = [
  [30, "GET /v1/products", () => rest("GET", "/v1/products")],
  [20, "GET /v1/products/{id}", () => rest("GET", `/v1/products/${any(PRODUCTS)}`)],
  [20, "Products/GetProduct", () => products.getProduct({ id: any(PRODUCTS) })],
  [10, "Counter/Count", () => counter.count({ count: 1n })],
  [5, "GET /counter", () => rest("GET", "/counter")],
  [5, "GET /v1/users/{id}", () => rest("GET", "/v1/users/user-1")],
  [5, "GET /v1/orders", () => rest("GET", "/v1/orders?page_size=5")],
  [5, "POST /v1/orders", placeOrder],
];
const TOTAL = MIX.reduce((sum, [weight]) => sum + weight, 0);

let calls = 0;
const failures = new Map<string, number>();

async function rest(method: string, path: string, body?: unknown): Promise<void> {
  const init =
    body === undefined
      ? { method }
      : { method, body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const response = await fetch(new URL(path, target), { ...init, signal: AbortSignal.timeout(5_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`status ${response.status}: ${text.slice(0, 200)}`);
}

function placeOrder(): Promise<void> {
  const items = [{ productId: any(PRODUCTS), quantity: 1 }];
  return rest("POST", "/v1/orders", {
    userId: any(["user-1", "user-2", "user-3"]),
    items,
    cardNumber: "4242424242424242",
  });
}

async function callOne(): Promise<void> {
  let at = Math.random() * TOTAL;
  const [, name, call] = MIX.find(([weight]) => (at -= weight) < 0) ?? MIX[0];
  calls++;
  try {
    await call();
  } catch (error) {
    const why =
      error instanceof WeftError
        ? `${error.code}: ${error.message}`
        : error instanceof Error
          ? error.message
          : String(error);
    const text = `${name}: ${why}`;
    failures.set(text, (failures.get(text) ?? 0) + 1);
  }
}

const TICK_MS = 20;
let owed = 0;
let before = performance.now();
setInterval(() => {
  const now = performance.now();
  owed = Math.min(owed + ((now - before) * perSecond) / 1_000, perSecond); // what was missed by more than a second is not made up for
  before = now;
  for (; owed >= 1; owed--) void callOne();
}, TICK_MS);

function report(): void {
  const failed = [...failures].map(([text, count]) => `${count} x ${text}`);
  console.log(`${calls} calls, ${failed.length === 0 ? "none failed" : `failed: ${failed.slice(0, 5).join("; ")}`}`);
  calls = 0;
  failures.clear();
}
setInterval(report, 10_000);
process.on("SIGTERM", () => {
  report();
  process.exit(0);
});
