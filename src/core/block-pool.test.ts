import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FREE_BYTES_AT_MOST, freeBlockBytes, giveBack, takeBlock } from "./block-pool.ts";

test("a block is large enough, and nobody else has it until it is given back", () => {
  const step = fc.record({ take: fc.boolean(), bytes: fc.integer({ min: 0, max: 1_000_000 }), which: fc.nat() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const held = new Set<Buffer>();
      for (const { take, bytes, which } of steps) {
        if (take || held.size === 0) {
          const block = takeBlock(bytes);
          assert.ok(block.length >= bytes);
          assert.ok(!held.has(block));
          for (const other of held) assert.notEqual(other.buffer, block.buffer);
          held.add(block);
        } else {
          const block = [...held][which % held.size];
          held.delete(block);
          giveBack(block);
        }
        assert.ok(freeBlockBytes() <= FREE_BYTES_AT_MOST);
      }
      for (const block of held) giveBack(block);
    }),
    { numRuns: 50 },
  );
});

test("a block that was given back is used again", () => {
  const block = takeBlock(10_000);
  giveBack(block);
  assert.equal(takeBlock(12_000), block);
  giveBack(block);
});

test("free blocks are bounded, and larger ones than any kept are not kept", () => {
  const sizes = [
    ...Array(600).fill(100),
    ...Array(200).fill(10_000),
    ...Array(30).fill(100_000),
    ...Array(8).fill(300_000),
    700_000,
  ];
  const blocks = sizes.map(takeBlock);
  for (const block of blocks) giveBack(block);
  assert.equal(freeBlockBytes(), FREE_BYTES_AT_MOST);
});
