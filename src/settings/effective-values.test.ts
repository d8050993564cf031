import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { graysOf, isSelected, withGrays } from "./effective-values.ts";
import type { GrayRelease, GraySelector, SettingsConsumer, SettingsNamespace } from "./settings-state.ts";

const gray = (id: string, changes: GrayRelease["changes"], to: GraySelector): GrayRelease => ({
  id,
  changes,
  to,
  author: "",
  reason: "",
  sinceMs: 0,
});
const entry = (value: number) => ({ value, revision: 1, author: "", atMs: 0 });
const someone = { instance: "orders-1", zone: "eu", labels: { version: "v1" }, tags: new Set(["canary", "blue"]) };
const effectiveValues = (of: SettingsNamespace, consumer: SettingsConsumer) => withGrays(of, graysOf(of, consumer));
const namespace: SettingsNamespace = {
  values: { a: entry(1), b: entry(2) },
  schema: null,
  revision: 3,
  grays: [gray("g-2", { a: 10, b: null }, { zones: ["eu"] }), gray("g-3", { a: 20 }, { labels: { version: "v2" } })],
};

test("a consumer gets what everybody has, and over it the gray releases that are for it, the later over the earlier", () => {
  assert.deepEqual(effectiveValues(namespace, { ...someone, zone: "us" }), { values: { a: 1, b: 2 }, grays: [] });
  assert.deepEqual(effectiveValues(namespace, someone), { values: { a: 10 }, grays: ["g-2"] });
  const both = effectiveValues(namespace, { ...someone, labels: { version: "v2" } });
  assert.deepEqual(both, { values: { a: 20 }, grays: ["g-2", "g-3"] });
});

test("every part of a selector that is given must hold", () => {
  const to = { zones: ["eu"], instances: ["orders-1"], labels: { version: "v1" }, percent: 100 };
  assert.ok(isSelected("g-1", to, someone));
  assert.ok(!isSelected("g-1", to, { ...someone, instance: "orders-2" }));
  assert.ok(!isSelected("g-1", { ...to, percent: 0 }, someone));
  assert.ok(!isSelected("g-1", { labels: { toString: "x" } }, someone));
  assert.ok(isSelected("g-1", { ...to, tags: ["blue", "canary"] }, someone));
  assert.ok(!isSelected("g-1", { tags: ["blue", "green"] }, someone), "of several tags each");
  assert.ok(!isSelected("g-1", { tags: ["blue"], zones: ["us"] }, someone));
});

test("widening by percent keeps those that had it", () => {
  const percents = fc.tuple(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 100 }));
  fc.assert(
    fc.property(fc.string(), fc.string(), percents, (id, instance, [a, b]) => {
      const less = isSelected(id, { percent: Math.min(a, b) }, { ...someone, instance });
      const more = isSelected(id, { percent: Math.max(a, b) }, { ...someone, instance });
      assert.ok(!less || more);
    }),
  );
});

test("of a thousand instances about as many are chosen as the percent says, and others by each gray release", () => {
  const chosen = (id: string, percent: number): Set<string> => {
    const found = new Set<string>();
    for (let i = 0; i < 1_000; i++)
      if (isSelected(id, { percent }, { ...someone, instance: `orders-${i}` })) found.add(`orders-${i}`);
    return found;
  };
  const ten = chosen("g-41", 10);
  // Four standard deviations of a binomial distribution: sqrt(1000 * 0.1 * 0.9) = 9.5.
  assert.ok(Math.abs(ten.size - 100) <= 38, `${ten.size} of 1000`);
  assert.ok(Math.abs(chosen("g-41", 50).size - 500) <= 64);
  assert.equal(chosen("g-41", 100).size, 1_000);
  assert.equal(chosen("g-41", 0).size, 0);
  const other = [...chosen("g-42", 10)].filter((instance) => ten.has(instance));
  assert.ok(other.length < 30, `${other.length} have both`);
});
