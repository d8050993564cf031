import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { MemoryKeyValue } from "../../settings/memory-key-value.ts";
import { JoinTokens } from "./join-tokens.ts";

test("a data plane that was admitted comes back by its token when that has expired; another does not, nor more than the token holds", async () => {
  const clock = new VirtualClock();
  const tokens = new JoinTokens("shop", "secret-of-the-operator", new MemoryKeyValue(), clock);
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

test("control planes that share a store count the uses of a token together", async () => {
  const clock = new VirtualClock();
  const store = new MemoryKeyValue();
  const planes = [1, 2, 3].map(() => new JoinTokens("shop", "secret-of-the-operator", store, clock));
  const { token } = planes[0].create("orders", 60, 4);
  const keys = Array.from({ length: 10 }, (_, i) => Buffer.from(`key ${i}`));
  const tries = await Promise.allSettled(keys.map((key, i) => planes[i % 3].use(token, key)));
  const joined = keys.filter((_, i) => tries[i].status === "fulfilled");
  assert.equal(joined.length, 4);
  for (const key of joined)
    assert.equal((await planes[1].use(token, key)).service, "orders", "who asks again uses nothing up");
  await assert.rejects(planes[2].use(token, Buffer.from("another")), { reason: "JOIN_TOKEN_USED" });
  clock.advance(700_000);
  const { token: next } = planes[0].create("orders", 60, 1);
  await planes[0].use(next, keys[0]);
  assert.equal((await store.keys("tokens")).length, 1, "uses of a token that has expired are kept");
});
