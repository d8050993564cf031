import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Heap } from "./heap.ts";

interface Item {
  readonly at: number;
  place: number;
}

test("the first is the least of those that are there, whatever came and went", () => {
  const step = fc.oneof(fc.record({ add: fc.nat(20) }), fc.record({ remove: fc.nat(30) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const heap = new Heap<Item>(
        (a, b) => a.at < b.at,
        (item, place) => {
          item.place = place;
        },
      );
      const items: Item[] = [];
      for (const one of steps) {
        if ("add" in one) {
          const item = { at: one.add, place: -1 };
          items.push(item);
          heap.push(item);
        } else if (one.remove < items.length) {
          const [item] = items.splice(one.remove, 1);
          heap.removeAt(item.place);
          assert.equal(item.place, -1);
        }
        assert.equal(heap.size, items.length);
        if (items.length > 0) assert.equal(heap.first?.at, Math.min(...items.map(({ at }) => at)));
        assert.equal(new Set(items.map(({ place }) => place)).size, items.length);
      }
      const left: number[] = [];
      for (let item = heap.take(); item !== undefined; item = heap.take()) left.push(item.at);
      assert.deepEqual(
        left,
        items.map(({ at }) => at).sort((a, b) => a - b),
      );
    }),
  );
});
