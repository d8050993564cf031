import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KnownResources } from "./known-resources.ts";

test("whatever JSON.stringify writes of an array is read as JSON.parse reads it, again and again", () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.jsonValue(), { maxLength: 6 }), { minLength: 1, maxLength: 4 }), (sets) => {
      const known = new KnownResources();
      for (const set of sets) {
        const json = JSON.stringify(set);
        const read = known.read(json);
        assert.deepEqual(read?.values, JSON.parse(json));
        assert.equal(`[${read?.texts.join()}]`, json);
        if (read !== null) known.keep(read);
      }
    }),
  );
});

test("what stands as it stood before is the same object, and what was not kept is another", () => {
  const known = new KnownResources();
  const first = known.read('[{"a":1},{"b":"x\\"],[y"}]');
  assert.ok(first !== null);
  assert.notEqual(known.read('[{"a":1}]')?.values[0], first.values[0]);
  known.keep(first);
  const next = known.read('[{"c":0},{"b":"x\\"],[y"}]');
  assert.equal(next?.values[1], first.values[1]);
  assert.deepEqual(next?.values[0], { c: 0 });
});

test("other texts are left to others", () => {
  const known = new KnownResources();
  for (const text of [
    "",
    "[",
    "{}",
    '[{"a": 1}]',
    "[1, 2]",
    "[1,]",
    '["a]',
    "[}{]",
    '[{"a":1,"a":2}]',
    "[1e400]",
    " []",
  ])
    assert.equal(known.read(text), null, text);
  assert.deepEqual(known.read("[]"), { values: [], texts: [] });
});
