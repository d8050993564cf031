import type { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { service, WeftError } from "weftmesh";
import { Inventory, type Line, Reservation_State as State } from "../gen/shop/inventory/v1/inventory.ts";
import { transaction } from "../shared/database.ts";

export const INVENTORY_SCHEMA = `
  CREATE TABLE IF NOT EXISTS stock (product_id TEXT PRIMARY KEY, available INTEGER NOT NULL CHECK (available >= 0), reserved INTEGER NOT NULL CHECK (reserved >= 0)) STRICT;
  CREATE TABLE IF NOT EXISTS reservations (order_id TEXT PRIMARY KEY, state INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS reserved_lines
    (order_id TEXT NOT NULL REFERENCES reservations, product_id TEXT NOT NULL, quantity INTEGER NOT NULL, PRIMARY KEY (order_id, product_id)) STRICT;
  INSERT OR IGNORE INTO stock VALUES
    ('bobbin', 100000, 0), ('heddle', 100000, 0), ('loom', 3, 0), ('reed', 100000, 0), ('shuttle', 100000, 0), ('yarn', 100000, 0);
`;

interface StockRow {
  product_id: string;
  available: number;
  reserved: number;
}

/** How often a watcher looks: replicas share the data, so a change may come from another process. */
const WATCH_EVERY_MS = 250;

export function createInventory(db: DatabaseSync) {
  const stockOf = db.prepare("SELECT * FROM stock WHERE product_id = ?");
  const take = db.prepare(
    "UPDATE stock SET available = available - ?1, reserved = reserved + ?1 WHERE product_id = ?2 AND available >= ?1",
  );
  const giveBack = db.prepare(
    "UPDATE stock SET available = available + ?1, reserved = reserved - ?1 WHERE product_id = ?2",
  );
  const ship = db.prepare("UPDATE stock SET reserved = reserved - ?1 WHERE product_id = ?2");
  const stateOf = db.prepare("SELECT state FROM reservations WHERE order_id = ?");
  const setState = db.prepare(
    "INSERT INTO reservations VALUES (?1, ?2) ON CONFLICT (order_id) DO UPDATE SET state = ?2",
  );
  const addLine = db.prepare("INSERT INTO reserved_lines VALUES (?, ?, ?)");
  const linesOf = db.prepare("SELECT product_id, quantity FROM reserved_lines WHERE order_id = ?");

  function readStock(productId: string) {
    const row = stockOf.get(productId) as StockRow | undefined;
    if (row === undefined)
      throw new WeftError("not_found", `no stock is kept of "${productId}"`, { reason: "NO_SUCH_PRODUCT" });
    return { productId, available: row.available, reserved: row.reserved };
  }

  const readState = (orderId: string) =>
    (stateOf.get(orderId) as { state: State } | undefined)?.state ?? State.UNSPECIFIED;

  /** Ends a held reservation. `change` is what becomes of each line. */
  function end(orderId: string, state: State, change: typeof ship) {
    if (readState(orderId) === State.HELD) {
      for (const line of linesOf.all(orderId) as { product_id: string; quantity: number }[])
        change.run(line.quantity, line.product_id);
    }
    setState.run(orderId, state);
    return { orderId, state };
  }

  return service(Inventory, {
    getStock: ({ productId }) => readStock(productId),

    async *watchStock({ productId }, call) {
      let told = "";
      while (!call.signal.aborted) {
        const stock = readStock(productId);
        const now = `${stock.available} ${stock.reserved}`;
        if (now !== told) yield stock;
        told = now;
        await sleep(WATCH_EVERY_MS, undefined, { signal: call.signal }).catch(() => {});
      }
    },

    reserve: ({ orderId, lines }) =>
      transaction(db, () => {
        const state = readState(orderId);
        if (state === State.HELD || state === State.COMMITTED) return { orderId, state };
        // A release that overtook its reservation (the caller gave up on it) wins.
        if (state === State.RELEASED)
          throw new WeftError("aborted", `order ${orderId} was released`, { reason: "RELEASED" });
        setState.run(orderId, State.HELD);
        for (const { productId, quantity } of merge(lines)) {
          if (take.run(quantity, productId).changes === 0) {
            const { available } = readStock(productId);
            throw new WeftError(
              "failed_precondition",
              `only ${available} of ${productId} are left, ${quantity} are wanted`,
              { reason: "INSUFFICIENT_STOCK" },
            );
          }
          addLine.run(orderId, productId, quantity);
        }
        return { orderId, state: State.HELD };
      }),

    release: ({ orderId }) =>
      transaction(db, () => {
        if (readState(orderId) === State.COMMITTED) {
          throw new WeftError("failed_precondition", `the goods of order ${orderId} have left`, {
            reason: "COMMITTED",
          });
        }
        return end(orderId, State.RELEASED, giveBack);
      }),

    commit: ({ orderId }) =>
      transaction(db, () => {
        const state = readState(orderId);
        if (state !== State.HELD && state !== State.COMMITTED) {
          throw new WeftError("failed_precondition", `order ${orderId} holds no goods`, { reason: "NOT_RESERVED" });
        }
        return end(orderId, State.COMMITTED, ship);
      }),
  });
}

/** One line for each product. */
function merge(lines: readonly Line[]): { productId: string; quantity: number }[] {
  const merged = new Map<string, number>();
  for (const [i, { productId, quantity }] of lines.entries()) {
    if (quantity <= 0) {
      throw new WeftError("invalid_argument", `the quantity of ${productId} is ${quantity}; it must be above 0`, {
        reason: "BAD_QUANTITY",
        place: { field: `lines[${i}].quantity` },
      });
    }
    merged.set(productId, (merged.get(productId) ?? 0) + quantity);
  }
  return [...merged].map(([productId, quantity]) => ({ productId, quantity }));
}
