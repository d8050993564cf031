import type { DatabaseSync } from "node:sqlite";
import { service, WeftError } from "weftmesh";
import { Payments, Payment_State as State } from "../gen/shop/payments/v1/payments.ts";
import { transaction } from "../shared/database.ts";

export const PAYMENTS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS payments
    (order_id TEXT PRIMARY KEY, amount_cents INTEGER NOT NULL, card_last4 TEXT NOT NULL, state INTEGER NOT NULL) STRICT;
`;

interface PaymentRow {
  order_id: string;
  amount_cents: number;
  card_last4: string;
  state: State;
}

/** Cards of this make-believe bank that do not simply pay. */
const ALWAYS_DECLINED = "4000000000000002";
const COVERS_50_EUROS = "4000000000009995";

export function createPayments(db: DatabaseSync) {
  const byOrder = db.prepare("SELECT * FROM payments WHERE order_id = ?");
  const insert = db.prepare("INSERT INTO payments VALUES (?, ?, ?, ?)");
  const setState = db.prepare("UPDATE payments SET state = ? WHERE order_id = ?");

  const find = (orderId: string) => byOrder.get(orderId) as PaymentRow | undefined;
  const paymentOf = (row: PaymentRow) => ({
    orderId: row.order_id,
    amountCents: row.amount_cents,
    cardLast4: row.card_last4,
    state: row.state,
  });

  function existing(orderId: string): PaymentRow {
    const row = find(orderId);
    if (row === undefined)
      throw new WeftError("not_found", `order ${orderId} has no payment`, { reason: "NO_SUCH_PAYMENT" });
    return row;
  }

  return service(Payments, {
    charge: ({ orderId, amountCents, cardNumber }) =>
      transaction(db, () => {
        const made = find(orderId);
        if (made !== undefined) return paymentOf(made);
        if (amountCents <= 0) {
          throw new WeftError("invalid_argument", `the amount is ${amountCents}; it must be above 0`, {
            reason: "BAD_AMOUNT",
            place: { field: "amount_cents" },
          });
        }
        if (!isCardNumber(cardNumber)) {
          throw new WeftError(
            "invalid_argument",
            "card_number is no card number: 12 to 19 digits with a right check digit",
            {
              reason: "BAD_CARD",
              place: { field: "card_number" },
            },
          );
        }
        if (cardNumber === ALWAYS_DECLINED) {
          throw new WeftError("failed_precondition", `the card ending in ${cardNumber.slice(-4)} was declined`, {
            reason: "CARD_DECLINED",
          });
        }
        if (cardNumber === COVERS_50_EUROS && amountCents > 5_000) {
          throw new WeftError(
            "failed_precondition",
            `the card ending in ${cardNumber.slice(-4)} does not cover ${amountCents} cents`,
            {
              reason: "INSUFFICIENT_FUNDS",
            },
          );
        }
        const row = {
          order_id: orderId,
          amount_cents: amountCents,
          card_last4: cardNumber.slice(-4),
          state: State.CHARGED,
        };
        insert.run(row.order_id, row.amount_cents, row.card_last4, row.state);
        return paymentOf(row);
      }),

    refund: ({ orderId }) =>
      transaction(db, () => {
        const row = existing(orderId);
        setState.run(State.REFUNDED, orderId);
        return paymentOf({ ...row, state: State.REFUNDED });
      }),

    getPayment: ({ orderId }) => paymentOf(existing(orderId)),
  });
}

/** Luhn's check digit (ISO/IEC 7812-1): every second digit from the right counts double, its digits added up. */
export function isCardNumber(text: string): boolean {
  if (!/^\d{12,19}$/.test(text)) return false;
  let sum = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = Number(text[text.length - 1 - i]);
    const doubled = i % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}
