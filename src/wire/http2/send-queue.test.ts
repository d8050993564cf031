import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { freeBlockBytes } from "../../core/block-pool.ts";
import { Output } from "./output.ts";
import { SendQueue } from "./send-queue.ts";

test("queues that share the pool's blocks give each its own bytes, in order", () => {
  const step = fc.record({
    queue: fc.nat(3),
    does: fc.constantFrom("push", "push", "shift", "clear"),
    bytes: fc.oneof(fc.nat(300), fc.nat(70_000)),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const queues = Array.from({ length: 4 }, () => ({ queue: new SendQueue(), model: [] as Buffer[] }));
      let stamp = 0;
      for (const { queue: index, does, bytes } of steps) {
        const each = queues[index];
        const expected = Buffer.concat(each.model);
        if (does === "push") {
          const pushed = Buffer.alloc(bytes, ++stamp % 251);
          each.queue.push(pushed, 0, bytes);
          each.model.push(pushed);
        } else if (does === "shift") {
          const count = Math.min(bytes, each.queue.bytes);
          const out = Buffer.alloc(count + 3);
          each.queue.shift(out, 3, count);
          assert.equal(out.compare(expected, 0, count, 3, 3 + count), 0);
          each.model = [expected.subarray(count)];
        } else {
          each.queue.clear();
          each.model = [];
        }
        assert.equal(
          each.queue.bytes,
          each.model.reduce((sum, part) => sum + part.length, 0),
        );
      }
      for (const { queue } of queues) queue.clear();
    }),
    { numRuns: 60 },
  );
});

test("a queue that is emptied or cleared gives its blocks back", () => {
  const queue = new SendQueue();
  const body = Buffer.alloc(200_000);
  queue.push(body, 0, body.length);
  queue.clear();
  const free = freeBlockBytes();
  queue.push(body, 0, body.length);
  assert.ok(freeBlockBytes() < free);
  queue.shift(Buffer.alloc(body.length), 0, body.length);
  assert.equal(freeBlockBytes(), free);
});

test("output invariant 1: what was taken is not touched before it is written", () => {
  const output = new Output();
  const fill = (byte: number, count: number): void => {
    const at = output.reserve(count);
    output.bytes.fill(byte, at, at + count);
    output.length = at + count;
  };
  fill(1, 5_000);
  const first = output.take();
  fill(2, 5_000);
  fill(3, 50_000);
  assert.ok(first.every((byte) => byte === 1));
  const second = output.take();
  fill(4, 5_000);
  output.written();
  fill(5, 100_000);
  assert.ok(
    second.subarray(0, 5_000).every((byte) => byte === 2) && second.subarray(5_000).every((byte) => byte === 3),
  );
  assert.equal(output.take().length, 105_000);
});
