import assert from "node:assert/strict";
import { test } from "node:test";
import { counter } from "./service.ts";

test("count answers the next number", async () => {
  assert.equal((await counter.call.count({ count: 41n })).count, 42n);
});

test("watch counts up to its limit", async () => {
  const seen: bigint[] = [];
  for await (const { count } of counter.call.watch({ from: 5n, limit: 3 })) seen.push(count);
  assert.deepEqual(seen, [5n, 6n, 7n]);
});

test("sum adds up what is sent", async () => {
  assert.equal((await counter.call.sum([{ count: 1n }, { count: 2n }])).sum, 3n);
});

test("chat answers each line", async () => {
  const seen: string[] = [];
  for await (const { text } of counter.call.chat([{ text: "a" }, { text: "b" }])) seen.push(text);
  assert.deepEqual(seen, ["you said a", "you said b"]);
});

test("hello greets in plain text", async () => {
  const body = await counter.call.hello({});
  assert.equal(body.contentType, "text/plain; charset=utf-8");
  assert.equal(Buffer.from(body.data).toString(), "Hello, Counter Service!");
});
