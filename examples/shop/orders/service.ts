import { randomUUID } from "node:crypto";
import { type Client, service, WeftError } from "weftmesh";
import type { Inventory } from "../gen/shop/inventory/v1/inventory.ts";
import { Orders, type PlaceOrderRequest, Order_State as State } from "../gen/shop/orders/v1/orders.ts";
import type { Payments } from "../gen/shop/payments/v1/payments.ts";
import type { Products } from "../gen/shop/products/v1/products.ts";
import type { Users } from "../gen/shop/users/v1/users.ts";
import type { OrderStore, StoredOrder } from "./store.ts";

/** The services that an order needs. */
export interface OrderNeeds {
  readonly users: Client<typeof Users>;
  readonly products: Client<typeof Products>;
  readonly inventory: Client<typeof Inventory>;
  readonly payments: Client<typeof Payments>;
}

/** What people may change while orders are taken. */
export interface OrderLimits {
  readonly maxItems: number;
  readonly maxQuantity: number;
}

const DEFAULT_LIMITS: OrderLimits = { maxItems: 100, maxQuantity: 10_000 };

export const ORDER_LIMITS = {
  type: "object",
  properties: {
    maxItems: { type: "integer", minimum: 1, maximum: 100, default: DEFAULT_LIMITS.maxItems },
    maxQuantity: { type: "integer", minimum: 1, maximum: 10_000, default: DEFAULT_LIMITS.maxQuantity },
  },
  additionalProperties: false,
};

export function createOrders(store: OrderStore, needs: OrderNeeds, limits: OrderLimits = DEFAULT_LIMITS) {
  const { users, products, inventory, payments } = needs;

  function existing(id: string): StoredOrder {
    const order = store.get(id);
    if (order === null) throw new WeftError("not_found", `there is no order "${id}"`, { reason: "NO_SUCH_ORDER" });
    return order;
  }

  /** Looks up the buyer and today's prices, and writes the order down. */
  async function write(request: PlaceOrderRequest): Promise<StoredOrder> {
    const [, ...found] = await Promise.all([
      users.getUser({ id: request.userId }),
      ...request.items.map(({ productId }) => products.getProduct({ id: productId })),
    ]);
    const lines = found.map(({ id, name, priceCents }, i) => ({
      productId: id,
      name,
      priceCents,
      quantity: request.items[i].quantity,
    }));
    const totalCents = lines.reduce((sum, line) => sum + line.priceCents * line.quantity, 0);
    if (totalCents > 0x7fff_ffff)
      throw new WeftError("out_of_range", "the order is worth more than 21 million euros", { reason: "TOO_LARGE" });
    const order = {
      id: `order-${randomUUID()}`,
      userId: request.userId,
      lines,
      totalCents,
      state: State.PENDING,
      failure: "",
    };
    if (!store.add(order, request.requestId, Date.now())) {
      throw new WeftError("aborted", `request ${request.requestId} is being carried out`, { reason: "SAME_REQUEST" });
    }
    return order;
  }

  /** Gives back what an order holds. Every step may be repeated, and an order that never got so far is fine. */
  async function undo(orderId: string): Promise<void> {
    await payments.refund({ orderId }).catch(ignore("not_found"));
    await inventory.release({ orderId });
  }

  async function carryOut(order: StoredOrder, cardNumber: string): Promise<StoredOrder> {
    const { id, lines, totalCents } = order;
    try {
      await inventory.reserve({
        orderId: id,
        lines: lines.map(({ productId, quantity }) => ({ productId, quantity })),
      });
      await payments.charge({ orderId: id, amountCents: totalCents, cardNumber });
      await inventory.commit({ orderId: id });
    } catch (error) {
      // A time-out does not say whether a step was carried out: undo all of them. What cannot be undone now stays pending, see recover().
      await undo(id);
      store.settle(order, State.FAILED, error instanceof WeftError ? error.reason : "INTERNAL");
      throw error;
    }
    return store.settle(order, State.PAID);
  }

  const definition = service(Orders, {
    async placeOrder(request) {
      checkItems(request, limits);
      const placed = request.requestId === "" ? null : store.getByRequest(request.requestId);
      if (placed !== null) return messageOf(placed);
      return messageOf(await carryOut(await write(request), request.cardNumber));
    },

    getOrder: ({ id }) => messageOf(existing(id)),

    listOrders({ userId, pageSize }) {
      if (pageSize < 0)
        throw new WeftError("invalid_argument", "page_size must not be negative", {
          reason: "BAD_PAGE",
          place: { field: "page_size" },
        });
      return { orders: store.list(userId, Math.min(pageSize || 20, 100)).map(messageOf) };
    },

    async cancelOrder({ id }) {
      const order = existing(id);
      if (order.state === State.CANCELLED) return messageOf(order);
      if (order.state !== State.PAID) {
        throw new WeftError(
          "failed_precondition",
          `order ${id} is ${stateName(order.state)}; only a paid one can be cancelled`,
          { reason: "NOT_PAID" },
        );
      }
      await payments.refund({ orderId: id });
      return messageOf(store.settle(order, State.CANCELLED));
    },
  });

  return {
    definition,
    /** Undoes orders that a crash left half done: those still pending after `olderThanMs`. Returns how many there were. */
    async recover(olderThanMs: number): Promise<number> {
      const pending = store.pendingSince(Date.now() - olderThanMs);
      for (const order of pending) {
        await undo(order.id);
        store.settle(order, State.FAILED, "INTERRUPTED");
      }
      return pending.length;
    },
  };
}

function checkItems({ items }: PlaceOrderRequest, { maxItems, maxQuantity }: OrderLimits): void {
  if (items.length === 0 || items.length > maxItems) {
    throw new WeftError("invalid_argument", `an order has 1 to ${maxItems} items, not ${items.length}`, {
      reason: "BAD_ITEMS",
      place: { field: "items" },
    });
  }
  for (const [i, { quantity }] of items.entries()) {
    if (quantity > 0 && quantity <= maxQuantity) continue;
    throw new WeftError("invalid_argument", `items[${i}].quantity is ${quantity}; it must be 1 to ${maxQuantity}`, {
      reason: "BAD_QUANTITY",
      place: { field: `items[${i}].quantity` },
    });
  }
}

function messageOf({ id, userId, lines, totalCents, state, failure }: StoredOrder) {
  return { id, userId, lines: lines.map((line) => ({ ...line })), totalCents, state, failure };
}

function stateName(state: State): string {
  return (Object.entries(State).find(([, value]) => value === state)?.[0] ?? `state ${state}`).toLowerCase();
}

function ignore(code: WeftError["code"]): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof WeftError) || error.code !== code) throw error;
  };
}
