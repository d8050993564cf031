import assert from "node:assert/strict";
import { test } from "node:test";
import { messageField } from "./message-field.ts";

test("a field is found by its path, in the .proto's names or JSON's, inside a oneof too", () => {
  const message = {
    order: { customerId: "c-7", lines: 12n, express: false, payment: { case: "cardToken", value: "t-1" } },
    tags: ["a"],
  };
  assert.equal(messageField(message, "order.customer_id"), "c-7");
  assert.equal(messageField(message, "order.customerId"), "c-7");
  assert.equal(messageField(message, "order.lines"), "12");
  assert.equal(messageField(message, "order.express"), "false");
  assert.equal(messageField(message, "order.card_token"), "t-1");
  for (const path of [
    "order",
    "tags",
    "tags.0",
    "order.none",
    "order.customer_id.length",
    "constructor",
    "order.toString",
  ])
    assert.equal(messageField(message, path), undefined, path);
});
