import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { endpoint } from "../machine/call.case.ts";
import type { BalancerKind, BalancerSpec } from "../resource/resources.ts";
import { Pick, pickEndpoint } from "./balancer.ts";
import { BALANCER_KINDS } from "./balancer-field.ts";
import { balancerSettings } from "./balancer-settings.ts";
import { EndpointTable } from "./endpoint-table.ts";
import { whyText } from "./why.ts";

function tableOf(weights: readonly number[]): EndpointTable {
  const table = new EndpointTable();
  table.apply(
    true,
    weights.map((weight, i) => endpoint(`a-${i}`, { weight })),
    [],
  );
  return table;
}

/** The slots that calls go to, one after the other, each answered after `latencies` or at once. */
function sequence(
  spec: BalancerSpec,
  weights: readonly number[],
  count: number,
  latencies?: readonly number[],
): number[] {
  const table = tableOf(weights);
  const group = table.group("a", "");
  const settings = balancerSettings(spec);
  const random = seededRandom(7);
  let now = 0;
  return Array.from({ length: count }, () => {
    const pick = new Pick();
    const slot = pickEndpoint(table, group, settings, 1_000, [], random, now++, pick);
    assert.notEqual(whyText(pick), "");
    if (latencies !== undefined) table.observe(slot, latencies[slot], now, 10_000);
    return slot;
  });
}

function picks(spec: BalancerSpec, weights: readonly number[], count: number, latencies?: readonly number[]): number[] {
  const seen = weights.map(() => 0);
  for (const slot of sequence(spec, weights, count, latencies)) seen[slot]++;
  return seen;
}

test("round robin takes turns", () => {
  assert.deepEqual(picks({ kind: "round-robin" }, [1, 5, 1], 30), [10, 10, 10]);
});

test("weighted round robin, weighted random and weighted least request share by weight", () => {
  for (const kind of ["weighted-round-robin", "least-request"] as const) {
    const weighted = picks({ kind }, [1, 2, 7], 1_000);
    for (const [i, share] of [100, 200, 700].entries()) assert.ok(Math.abs(weighted[i] - share) <= 2, `${weighted}`);
  }
  const random = picks({ kind: "weighted-random" }, [1, 2, 7], 20_000);
  for (const [i, share] of [2_000, 4_000, 14_000].entries())
    assert.ok(Math.abs(random[i] - share) < share / 8, `${random}`);
});

test("random goes by no weights", () => {
  for (const count of picks({ kind: "random" }, [1, 2, 7], 9_000)) assert.ok(Math.abs(count - 3_000) < 250);
});

test("weighted round robin is smooth: between two turns of one, another has as many as their weights say, never a burst", () => {
  assert.equal(sequence({ kind: "weighted-round-robin" }, [5, 1, 1], 14).join(""), "00010020001002");
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 12 }), (weights) => {
      const turns = sequence({ kind: "weighted-round-robin" }, weights, 400);
      weights.forEach((weight, i) => {
        const at = turns.flatMap((slot, turn) => (slot === i ? [turn] : []));
        for (let k = 1; k < at.length; k++) {
          weights.forEach((other, j) => {
            if (j === i) return;
            const between = turns.slice(at[k - 1], at[k]).filter((slot) => slot === j).length;
            const exact = other / weight;
            assert.ok(
              between >= Math.floor(exact - 1e-6) && between <= Math.ceil(exact + 1e-6),
              `${between} of ${j} between two of ${i}: ${weights}`,
            );
          });
        }
      });
    }),
    { numRuns: 60 },
  );
});

test("P2C prefers endpoints that answer faster", () => {
  const [fast, medium, slow] = picks({ kind: "p2c" }, [1, 1, 1], 10_000, [1, 10, 100]);
  assert.ok(fast > medium && medium > slow, `${fast} ${medium} ${slow}`);
  assert.ok(slow < 200);
});

test("Prequal prefers endpoints that answer faster, and tries the others now and then", () => {
  const [fast, medium, slow] = picks({ kind: "prequal" }, [1, 1, 1], 10_000, [1, 10, 100]);
  assert.ok(fast > 9_000 && medium + slow > 0, `${fast} ${medium} ${slow}`);
});

test("P2C, least request and Prequal prefer endpoints with fewer calls in flight", () => {
  for (const spec of [
    { kind: "p2c" },
    { kind: "least-request" },
    { kind: "least-request", leastRequest: { scan: "full" } },
    { kind: "prequal" },
  ] as const) {
    const table = tableOf([1, 1]);
    for (const slot of [0, 1]) table.observe(slot, 10, 0, 10_000);
    table.inFlight[0] = 5;
    const random = seededRandom(1);
    const settings = balancerSettings(spec);
    let other = 0;
    for (let i = 0; i < 200; i++) {
      if (pickEndpoint(table, table.group("a", ""), settings, 100, [], random, 0, new Pick()) !== 1) other++;
    }
    // Envoy draws with replacement: now and then both draws are the same.
    assert.ok(other <= (spec.kind === "least-request" && !("leastRequest" in spec) ? 80 : 0), `${spec.kind}: ${other}`);
  }
});

test("least request, full scan: always one of those with the fewest, all of them", () => {
  const table = tableOf([1, 1, 1, 1]);
  table.inFlight.set([3, 1, 1, 2]);
  const settings = balancerSettings({ kind: "least-request", leastRequest: { scan: "full" } });
  const random = seededRandom(2);
  const seen = new Set<number>();
  for (let i = 0; i < 50; i++)
    seen.add(pickEndpoint(table, table.group("a", ""), settings, 100, [], random, 0, new Pick()));
  assert.deepEqual([...seen].sort(), [1, 2]);
});

test("no kind returns to what was tried, is put aside or is full while another will do", () => {
  const state = fc.record({ tried: fc.boolean(), aside: fc.boolean(), full: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(state, { minLength: 1, maxLength: 8 }),
      fc.constantFrom(...BALANCER_KINDS),
      fc.integer(),
      (states, kind: BalancerKind, seed) => {
        const table = tableOf(states.map(() => 1));
        states.forEach(({ aside, full }, slot) => {
          if (aside) table.failed(slot, true, 0);
          if (full) table.inFlight[slot] = 10;
        });
        const avoid = states.flatMap(({ tried }, slot) => (tried ? [slot] : []));
        const settings = balancerSettings({ kind, tableSize: 251 });
        const slot = pickEndpoint(table, table.group("a", ""), settings, 10, avoid, seededRandom(seed), 1, new Pick());
        const rank = ({ tried, aside, full }: (typeof states)[number]): number =>
          full ? -1 : aside ? (tried ? 0 : 1) : tried ? 2 : 3;
        const best = Math.max(...states.map(rank));
        assert.equal(slot < 0 ? -1 : rank(states[slot]), best);
      },
    ),
  );
});

test("turns go on where they were when endpoints come and go", () => {
  const table = tableOf([1, 1, 1, 1]);
  const group = table.group("a", "");
  const settings = balancerSettings({ kind: "weighted-round-robin" });
  const next = (): number => pickEndpoint(table, group, settings, 100, [], seededRandom(1), 0, new Pick());
  assert.deepEqual([next(), next()], [0, 1]);
  table.apply(false, [endpoint("a-9")], []);
  assert.deepEqual([next(), next()], [2, 3]);
});

test("a new revision with the same balancer goes on with its turns", () => {
  const table = tableOf([1, 1, 1]);
  const group = table.group("a", "");
  const next = (kind: BalancerKind): number =>
    pickEndpoint(table, group, balancerSettings({ kind }), 100, [], seededRandom(1), 0, new Pick());
  assert.deepEqual([next("round-robin"), next("round-robin")], [0, 1]);
  assert.equal(next("weighted-round-robin"), 0); // another balancer has turns of its own
  assert.deepEqual([next("round-robin"), next("round-robin")], [2, 0]);
});
