import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../core/errors.ts";
import { BufferBudget } from "./buffer-budget.ts";
import { RequestQueue } from "./request-queue.ts";

function recording(maxBytes = 1_000_000) {
  let credited = 0;
  const budget = new BufferBudget(maxBytes);
  const queue = new RequestQueue<number>((bytes) => {
    credited += bytes;
  }, budget);
  return { queue, budget, credited: () => credited };
}

test("bytes are credited when the handler takes their message, not before", async () => {
  const { queue, credited } = recording();
  queue.received(10);
  queue.push(1);
  queue.received(20);
  queue.push(2);
  assert.equal(credited(), 0);
  assert.deepEqual(await queue.next(), { value: 1, done: false });
  assert.equal(credited(), 10);
  assert.deepEqual(await queue.next(), { value: 2, done: false });
  assert.equal(credited(), 30);
});

test("a message larger than the window is credited while the handler waits for it", async () => {
  const { queue, credited } = recording();
  queue.received(100);
  const next = queue.next();
  assert.equal(credited(), 100);
  queue.received(100);
  assert.equal(credited(), 200);
  queue.push(7);
  queue.end();
  assert.deepEqual(await next, { value: 7, done: false });
  assert.deepEqual(await queue.next(), { value: undefined, done: true });
});

test("an error drops what is waiting and goes to whoever reads", async () => {
  const { queue, credited } = recording();
  queue.received(10);
  queue.push(1);
  queue.end(new WeftError("cancelled", "gone"));
  assert.equal(credited(), 10);
  await assert.rejects(queue.next(), { code: "cancelled" });
  await assert.rejects(queue.next(), { code: "cancelled" });
});

test("after return() everything that comes is credited and dropped", async () => {
  const { queue, credited } = recording();
  queue.received(5);
  queue.push(1);
  await queue.return();
  queue.received(7);
  queue.push(2);
  queue.received(3);
  assert.equal(credited(), 15);
  assert.deepEqual(await queue.next(), { value: undefined, done: true });
});

test("messages that wait are held on the budget, and one too many is refused", async () => {
  const { queue, budget, credited } = recording(300);
  queue.received(10);
  queue.push(1);
  queue.received(10);
  queue.push(2);
  queue.received(10);
  assert.throws(() => queue.push(3), { code: "resource_exhausted" });
  assert.equal(credited(), 10);
  await queue.next();
  assert.ok(budget.usedBytes > 0);
  queue.discard();
  assert.equal(budget.usedBytes, 0);
  assert.equal(credited(), 30);
});

test("a reader that waits when the call is over hears the end", async () => {
  const { queue } = recording();
  const next = queue.next();
  queue.discard();
  assert.deepEqual(await next, { value: undefined, done: true });
});

test("a message that fails to decompress fails the reader alone", async () => {
  const { queue } = recording();
  queue.push(Promise.reject(new WeftError("invalid_argument", "bad")));
  await new Promise(setImmediate);
  await assert.rejects(queue.next(), { code: "invalid_argument" });
});

test("in any order of reading and arriving, messages arrive in order and every byte is credited once", async () => {
  const steps = fc.array(
    fc.oneof(fc.record({ bytes: fc.nat({ max: 50 }), whole: fc.boolean() }), fc.constant("read")),
    {
      maxLength: 60,
    },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (plan) => {
      const { queue, budget, credited } = recording();
      let received = 0;
      let pushed = 0;
      const seen: number[] = [];
      let reading: Promise<void> | null = null;
      for (const step of plan) {
        if (step === "read") {
          await reading;
          reading = pushed > seen.length ? queue.next().then(({ value }) => void seen.push(value)) : null;
          continue;
        }
        if (typeof step === "string") continue;
        queue.received(step.bytes);
        received += step.bytes;
        if (step.whole) queue.push(pushed++);
      }
      await reading;
      queue.end();
      for await (const value of queue) seen.push(value);
      assert.deepEqual(
        seen,
        Array.from({ length: pushed }, (_, i) => i),
      );
      await queue.return();
      assert.equal(credited(), received);
      assert.equal(budget.usedBytes, 0);
    }),
  );
});
