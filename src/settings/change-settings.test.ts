import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../core/errors.ts";
import { changeSettings, type SettingsChange } from "./change-settings.ts";
import { parseSettingsState } from "./check-state.ts";
import { diffSettings } from "./diff-settings.ts";
import { settingsLimits } from "./settings-limits.ts";
import { type Json, NO_SETTINGS, type SettingsState } from "./settings-state.ts";

const note = (revision: number, author = "ada") => ({ revision, author, reason: "why", nowMs: 1_000 * revision });
const set = (key: string, value: Json, expected?: number): SettingsChange => ({
  kind: "set",
  namespace: "orders",
  key,
  value,
  ...(expected !== undefined && { expected }),
});
const base = changeSettings(NO_SETTINGS, [set("maxItems", 5), set("mode", "fast")], note(1));

function refusal(state: SettingsState, changes: readonly SettingsChange[]): WeftError {
  try {
    changeSettings(state, changes, note(9));
  } catch (thrown) {
    if (thrown instanceof WeftError) return thrown;
    throw thrown;
  }
  assert.fail("nothing was refused");
}

test("changes are noted with their revision, author and time; what stays keeps its own", () => {
  const after = changeSettings(base, [set("maxItems", 6), set("mode", "fast")], note(2, "eve"));
  assert.deepEqual(after.namespaces.orders.values, {
    maxItems: { value: 6, revision: 2, author: "eve", atMs: 2_000 },
    mode: { value: "fast", revision: 1, author: "ada", atMs: 1_000 },
  });
  assert.equal(after.namespaces.orders.revision, 2);
  assert.deepEqual(diffSettings(base, after), [
    { namespace: "orders", name: "orders/maxItems", key: "maxItems", before: 5, after: 6 },
  ]);
});

test("changes that change nothing leave the very same state", () => {
  assert.equal(changeSettings(base, [set("maxItems", 5)], note(2)), base);
  const begin = { kind: "begin", namespace: "orders", values: { mode: "safe" }, to: { percent: 10 } } as const;
  assert.equal(changeSettings(base, [begin, { kind: "end", namespace: "orders", id: "g-2" }], note(2)), base);
});

test("everything that is wrong is said at once, and nothing is changed", () => {
  const { code, reason, message } = refusal(base, [
    set("9lives", 1),
    set("deep", { $sealed: "x", more: 1 }),
    { kind: "remove", namespace: "orders", key: "maxItms" },
    { kind: "remove", namespace: "Orders", key: "a" },
    { kind: "promote", namespace: "orders", id: "g-1" },
    { kind: "begin", namespace: "orders", values: { mode: "safe" }, to: {} },
    set("mode", "a"),
    set("mode", "b"),
  ]);
  assert.deepEqual([code, reason], ["invalid_argument", "BAD_SETTINGS"]);
  const lines = message.split("\n");
  assert.equal(lines.length, 7);
  assert.match(lines[0], /^orders\/9lives: a key is /);
  assert.match(lines[1], /^orders\/deep: only a whole value can be sealed/);
  assert.equal(lines[2], 'orders/maxItms: there is no such key; did you mean "maxItems"?');
  assert.match(lines[3], /^"Orders": a namespace is a DNS label/);
  assert.match(lines[4], /gray release g-1: there is none; none is under way/);
  assert.match(lines[5], /it must say to whom/);
  assert.equal(lines[6], "orders/mode: it is changed twice");
});

test("compare-and-set says who changed it meanwhile, and when", () => {
  const { code, reason, message } = refusal(changeSettings(base, [set("maxItems", 6)], note(2, "eve")), [
    set("maxItems", 7, 1),
    set("mode", "safe", 1),
    set("fresh", 1, 3),
  ]);
  assert.deepEqual([code, reason], ["aborted", "STALE_SETTING"]);
  assert.match(
    message,
    /^orders\/maxItems was changed by eve at 1970-01-01T00:00:02.000Z \(revision 2, compared with 1\)/,
  );
  assert.match(message, /orders\/fresh is not there any more/);
  assert.match(refusal(base, [set("mode", "x", 0)]).message, /it was to be new/);
});

test("values, namespaces and the whole keep to their limits", () => {
  const big = "x".repeat(settingsLimits.maxValueBytes);
  assert.match(refusal(base, [set("a", big)]).message, /orders\/a: it has 65538 bytes; a value has at most 65536/);
  const nine = Array.from({ length: 9 }, (_, i) => set(`k${i}`, "x".repeat(60_000)));
  assert.match(refusal(base, nine).message, /orders: it has \d+ bytes; a namespace has at most 524288/);
  let state = base;
  for (const name of ["a", "b", "c", "d"]) {
    const eight = Array.from({ length: 8 }, (_, i) => ({ ...set(`k${i}`, "x".repeat(60_000)), namespace: name }));
    state = changeSettings(state, eight as SettingsChange[], note(2));
  }
  const more = Array.from({ length: 3 }, (_, i) => ({ ...set(`k${i}`, "x".repeat(60_000)), namespace: "e" }));
  assert.match(refusal(state, more as SettingsChange[]).message, /all settings together have \d+ bytes/);
  let deep: Json = 1;
  for (let i = 0; i < 70; i++) deep = [deep];
  assert.match(refusal(base, [set("deep", deep)]).message, /nested too deep/);
});

test("a gray release is begun, widened, and promoted or ended", () => {
  const to = { percent: 10 };
  const begun = changeSettings(
    base,
    [{ kind: "begin", namespace: "orders", values: { maxItems: 9, mode: null }, to }],
    note(2),
  );
  assert.deepEqual(begun.namespaces.orders.grays[0], {
    id: "g-2",
    changes: { maxItems: 9, mode: null },
    to,
    author: "ada",
    reason: "why",
    sinceMs: 2_000,
  });
  const wider = changeSettings(
    begun,
    [{ kind: "widen", namespace: "orders", id: "g-2", to: { percent: 50 } }],
    note(3),
  );
  assert.deepEqual(wider.namespaces.orders.grays[0].to, { percent: 50 });
  const promoted = changeSettings(wider, [{ kind: "promote", namespace: "orders", id: "g-2" }], note(4, "eve"));
  assert.deepEqual(promoted.namespaces.orders, {
    values: { maxItems: { value: 9, revision: 4, author: "eve", atMs: 4_000 } },
    schema: null,
    grays: [],
    revision: 4,
  });
  const ended = changeSettings(wider, [{ kind: "end", namespace: "orders", id: "g-2" }], note(4));
  assert.deepEqual(diffSettings(base, ended), []);
});

test("a namespace of which nothing is left is no more", () => {
  const none = changeSettings(
    base,
    [
      { kind: "remove", namespace: "orders", key: "maxItems" },
      { kind: "remove", namespace: "orders", key: "mode" },
    ],
    note(2),
  );
  assert.deepEqual(none, { namespaces: {} });
});

const KEYS = ["a", "b", "c"];
const json = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.array(fc.boolean(), { maxLength: 2 }));
const change = fc.oneof(
  fc.record({
    kind: fc.constant("set" as const),
    namespace: fc.constantFrom("x", "y"),
    key: fc.constantFrom(...KEYS),
    value: json,
    expected: fc.option(fc.nat(5), { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant("remove" as const),
    namespace: fc.constantFrom("x", "y"),
    key: fc.constantFrom(...KEYS),
  }),
  fc.record({
    kind: fc.constant("begin" as const),
    namespace: fc.constantFrom("x", "y"),
    values: fc.dictionary(fc.constantFrom(...KEYS), json, { minKeys: 1 }),
    to: fc.record({ percent: fc.integer({ min: 0, max: 100 }) }),
  }),
  fc.record({
    kind: fc.constantFrom("promote" as const, "end" as const),
    namespace: fc.constantFrom("x", "y"),
    id: fc.nat(8).map((n) => `g-${n}`),
  }),
);

test("whatever is published: all of it or nothing, within the rules, and what is compared is what is there", () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { maxLength: 8 }), (publications) => {
      let state: SettingsState = NO_SETTINGS;
      let revision = 0;
      for (const changes of publications) {
        const before = JSON.stringify(state);
        try {
          const after = changeSettings(state, changes, note(revision + 1));
          for (const one of changes) {
            if (one.kind !== "set" || one.expected === undefined) continue;
            assert.equal(state.namespaces[one.namespace]?.values[one.key]?.revision ?? 0, one.expected);
          }
          if (after !== state) revision++;
          assert.equal(after !== state, JSON.stringify(after) !== before);
          assert.equal(JSON.stringify(parseSettingsState(JSON.stringify(after))), JSON.stringify(after));
          for (const { values, revision: newest } of Object.values(after.namespaces))
            for (const entry of Object.values(values)) assert.ok(entry.revision <= newest && newest <= revision);
          state = after;
        } catch (thrown) {
          if (!(thrown instanceof WeftError)) throw thrown;
          assert.equal(JSON.stringify(state), before);
        }
      }
    }),
  );
});
