import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { Attempt } from "../machine/attempt.ts";
import { endpoint } from "../machine/call.case.ts";
import type { BalancerKind } from "../resource/resources.ts";
import { pickEndpoint } from "./balancer.ts";
import { EndpointTable } from "./endpoint-table.ts";

const KINDS: readonly BalancerKind[] = ["p2c", "round-robin", "random", "weighted-round-robin"];

function picks(kind: BalancerKind, weights: readonly number[], count: number, latencies?: readonly number[]): number[] {
  const table = new EndpointTable();
  table.apply(
    true,
    weights.map((weight, i) => endpoint(`a-${i}`, { weight })),
    [],
  );
  const group = table.group("a", "");
  const random = seededRandom(7);
  const seen = weights.map(() => 0);
  let now = 0;
  for (let i = 0; i < count; i++) {
    const slot = pickEndpoint(table, group, { kind, decayMs: 10_000 }, 1_000, [], random, now++, new Attempt());
    seen[slot]++;
    if (latencies !== undefined) table.observe(slot, latencies[slot], now, 10_000);
  }
  return seen;
}

test("round robin takes turns", () => {
  assert.deepEqual(picks("round-robin", [1, 5, 1], 30), [10, 10, 10]);
});

test("random and weighted round robin share by weight", () => {
  const weighted = picks("weighted-round-robin", [1, 2, 7], 1_000);
  for (const [i, share] of [100, 200, 700].entries()) assert.ok(Math.abs(weighted[i] - share) <= 2, `${weighted}`);
  const random = picks("random", [1, 2, 7], 20_000);
  for (const [i, share] of [2_000, 4_000, 14_000].entries())
    assert.ok(Math.abs(random[i] - share) < share / 8, `${random}`);
});

test("P2C prefers endpoints that answer faster", () => {
  const [fast, medium, slow] = picks("p2c", [1, 1, 1], 10_000, [1, 10, 100]);
  assert.ok(fast > medium && medium > slow, `${fast} ${medium} ${slow}`);
  assert.ok(slow < 200);
});

test("P2C prefers endpoints with fewer calls in flight", () => {
  const table = new EndpointTable();
  table.apply(true, [endpoint("a-0"), endpoint("a-1")], []);
  for (const slot of [0, 1]) table.observe(slot, 10, 0, 10_000);
  table.inFlight[0] = 5;
  const random = seededRandom(1);
  const group = table.group("a", "");
  for (let i = 0; i < 50; i++) {
    assert.equal(pickEndpoint(table, group, { kind: "p2c", decayMs: 10_000 }, 100, [], random, 0, new Attempt()), 1);
  }
});

test("no kind returns to what was tried, is put aside or is full while another will do", () => {
  const state = fc.record({ tried: fc.boolean(), aside: fc.boolean(), full: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(state, { minLength: 1, maxLength: 8 }),
      fc.constantFrom(...KINDS),
      fc.integer(),
      (states, kind, seed) => {
        const table = new EndpointTable();
        table.apply(
          true,
          states.map((_, i) => endpoint(`a-${i}`)),
          [],
        );
        states.forEach(({ aside, full }, slot) => {
          if (aside) table.failed(slot, true, 0);
          if (full) table.inFlight[slot] = 10;
        });
        const avoid = states.flatMap(({ tried }, slot) => (tried ? [slot] : []));
        const slot = pickEndpoint(
          table,
          table.group("a", ""),
          { kind, decayMs: 1 },
          10,
          avoid,
          seededRandom(seed),
          1,
          new Attempt(),
        );
        const rank = ({ tried, aside, full }: (typeof states)[number]): number =>
          full ? -1 : aside ? (tried ? 0 : 1) : tried ? 2 : 3;
        const best = Math.max(...states.map(rank));
        assert.equal(slot < 0 ? -1 : rank(states[slot]), best);
      },
    ),
  );
});
