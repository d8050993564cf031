import type { DatabaseSync } from "node:sqlite";
import { Order_State as State } from "../gen/shop/orders/v1/orders.ts";
import { transaction } from "../shared/database.ts";

export const ORDERS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS orders
    (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, total_cents INTEGER NOT NULL, state INTEGER NOT NULL, failure TEXT NOT NULL,
     request_id TEXT UNIQUE, placed_ms INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS order_lines
    (order_id TEXT NOT NULL REFERENCES orders, product_id TEXT NOT NULL, name TEXT NOT NULL, price_cents INTEGER NOT NULL, quantity INTEGER NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS order_lines_by_order ON order_lines (order_id);
  CREATE INDEX IF NOT EXISTS orders_by_user ON orders (user_id, placed_ms);
  CREATE INDEX IF NOT EXISTS orders_by_state ON orders (state, placed_ms);
`;

export interface StoredOrder {
  readonly id: string;
  readonly userId: string;
  readonly lines: readonly StoredLine[];
  readonly totalCents: number;
  readonly state: State;
  readonly failure: string;
}

export interface StoredLine {
  readonly productId: string;
  readonly name: string;
  readonly priceCents: number;
  readonly quantity: number;
}

/** The orders' table. An order is written before anything is done for it, so that what a crash left half done can be undone. */
export function createOrderStore(db: DatabaseSync) {
  const insert = db.prepare("INSERT INTO orders VALUES (?, ?, ?, ?, '', ?, ?) ON CONFLICT (request_id) DO NOTHING");
  const insertLine = db.prepare("INSERT INTO order_lines VALUES (?, ?, ?, ?, ?)");
  const byId = db.prepare("SELECT * FROM orders WHERE id = ?");
  const byRequest = db.prepare("SELECT * FROM orders WHERE request_id = ?");
  const lines = db.prepare("SELECT * FROM order_lines WHERE order_id = ? ORDER BY rowid");
  const newest = db.prepare("SELECT * FROM orders ORDER BY placed_ms DESC LIMIT ?");
  const newestOfUser = db.prepare("SELECT * FROM orders WHERE user_id = ? ORDER BY placed_ms DESC LIMIT ?");
  const stale = db.prepare(`SELECT * FROM orders WHERE state = ${State.PENDING} AND placed_ms < ? LIMIT 100`);
  const settle = db.prepare("UPDATE orders SET state = ?, failure = ? WHERE id = ?");

  function orderOf(row: unknown): StoredOrder | null {
    if (row === undefined) return null;
    const { id, user_id, total_cents, state, failure } = row as {
      id: string;
      user_id: string;
      total_cents: number;
      state: State;
      failure: string;
    };
    const found = lines.all(id) as { product_id: string; name: string; price_cents: number; quantity: number }[];
    return {
      id,
      userId: user_id,
      lines: found.map((line) => ({
        productId: line.product_id,
        name: line.name,
        priceCents: line.price_cents,
        quantity: line.quantity,
      })),
      totalCents: total_cents,
      state,
      failure,
    };
  }

  const all = (rows: unknown[]): StoredOrder[] => rows.map((row) => orderOf(row) as StoredOrder);

  return {
    get: (id: string): StoredOrder | null => orderOf(byId.get(id)),
    getByRequest: (requestId: string): StoredOrder | null => orderOf(byRequest.get(requestId)),
    list: (userId: string, limit: number): StoredOrder[] =>
      all(userId === "" ? newest.all(limit) : newestOfUser.all(userId, limit)),
    pendingSince: (beforeMs: number): StoredOrder[] => all(stale.all(beforeMs)),
    /** False when an order with this request id is there already. */
    add(order: StoredOrder, requestId: string, nowMs: number): boolean {
      const request = requestId === "" ? null : requestId;
      return transaction(db, () => {
        if (insert.run(order.id, order.userId, order.totalCents, order.state, request, nowMs).changes === 0)
          return false;
        for (const line of order.lines)
          insertLine.run(order.id, line.productId, line.name, line.priceCents, line.quantity);
        return true;
      });
    },
    settle(order: StoredOrder, state: State, failure = ""): StoredOrder {
      settle.run(state, failure, order.id);
      return { ...order, state, failure };
    },
  };
}

export type OrderStore = ReturnType<typeof createOrderStore>;
