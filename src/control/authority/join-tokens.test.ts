import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { openControlDatabase } from "../control-database.ts";
import { JoinTokens } from "./join-tokens.ts";

test("a data plane that was admitted comes back by its token when that has expired; another does not, nor more than the token holds", async (t) => {
  const database = await openControlDatabase("");
  t.after(() => database.close());
  const clock = new VirtualClock();
  const tokens = new JoinTokens("shop", "secret-of-the-operator", database, clock);
  const { token } = tokens.create("orders", 60, 2);
  assert.equal((await tokens.admit(token, "orders-1")).service, "orders");
  assert.equal((await tokens.admit(token, "orders-1")).service, "orders");
  assert.equal((await tokens.admit(token, "orders-2")).service, "orders");
  await assert.rejects(tokens.admit(token, "orders-3"), { reason: "JOIN_TOKEN_USED" });
  clock.advance(61_000);
  assert.equal((await tokens.admit(token, "orders-1")).service, "orders");
  await assert.rejects(tokens.admit(token, "orders-3"), { reason: "JOIN_TOKEN_EXPIRED" });
  await assert.rejects(tokens.admit(`${token}x`, "orders-1"), { reason: "BAD_JOIN_TOKEN" });
});
