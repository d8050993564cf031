import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Endpoint } from "../core/endpoint.ts";
import { COPIED_METADATA, CopyMachine, type CopyPlan } from "./copy-machine.ts";
import { endpointOf } from "./registry.case.ts";

type State = Map<string, Endpoint>;

const whole = (state: State) => ({ endpointVersion: 1, full: true, changed: [...state.values()], removed: [] });
const isEmpty = ({ register, remove, health }: CopyPlan) => register.length + remove.length + health.length === 0;

/** Carries a plan out at the target, as a registry would. */
function carryOut(machine: CopyMachine, plan: CopyPlan, target: State): void {
  for (const endpoint of plan.register) {
    target.set(endpoint.id, endpoint);
    machine.registered(endpoint);
  }
  for (const id of plan.remove) {
    target.delete(id);
    machine.removed(id);
  }
  for (const { id, health } of plan.health) {
    const there = target.get(id);
    if (there !== undefined) target.set(id, { ...there, health });
    machine.said(id, health);
  }
}

function round(machine: CopyMachine, source: State, target: State): CopyPlan {
  machine.source(whole(source));
  machine.target(whole(target));
  const plan = machine.plan();
  carryOut(machine, plan, target);
  return plan;
}

const anEndpoint = fc
  .record({
    service: fc.constantFrom("alpha", "beta"),
    number: fc.integer({ min: 1, max: 4 }),
    port: fc.integer({ min: 1, max: 3 }),
    health: fc.constantFrom("healthy", "unhealthy", "draining"),
    by: fc.constantFrom("", "", "me", "other"),
  })
  .map(({ service, number, port, health, by }) =>
    endpointOf(service, number, {
      id: `e-${number}`,
      port,
      health,
      metadata: by === "" ? {} : { [COPIED_METADATA]: by },
    }),
  );
const aState = fc.array(anEndpoint, { maxLength: 8 }).map((all): State => new Map(all.map((one) => [one.id, one])));

test("C1, C4: what is not this copy's stays as it is, and after a plan there is nothing left to do", () => {
  fc.assert(
    fc.property(
      fc.array(aState, { minLength: 1, maxLength: 4 }),
      aState,
      fc.constantFrom("", "p-"),
      (sources, target, prefix) => {
        const machine = new CopyMachine({ name: "me", prefix });
        const foreign = [...target.values()].filter(({ metadata }) => metadata[COPIED_METADATA] !== "me");
        for (const source of sources) {
          const { conflicts } = round(machine, source, target);
          assert.ok(isEmpty(round(machine, source, target)), "a second plan");
          for (const one of foreign) assert.deepEqual(target.get(one.id), one);
          const wanted = [...source.values()].filter(({ metadata }) => metadata[COPIED_METADATA] === undefined);
          for (const one of wanted) {
            const id = `${prefix}${one.id}`;
            if (conflicts.includes(id)) continue;
            assert.deepEqual(target.get(id), { ...one, id, metadata: { [COPIED_METADATA]: "me" } });
          }
          assert.equal(target.size, foreign.length + wanted.length - conflicts.length);
        }
      },
    ),
  );
});

test("C2: two copies that go in a circle come to rest", () => {
  fc.assert(
    fc.property(aState, aState, fc.boolean(), (first, second, prefixed) => {
      const there = new CopyMachine({ name: "there", ...(prefixed && { prefix: "a-" }) });
      const back = new CopyMachine({ name: "back", ...(prefixed && { prefix: "b-" }) });
      const own = [first, second].map((state) => [...state.values()]);
      for (let i = 0; i < 2; i++) {
        round(there, first, second);
        round(back, second, first);
      }
      assert.ok(isEmpty(round(there, first, second)) && isEmpty(round(back, second, first)));
      for (const [index, state] of [first, second].entries())
        for (const one of own[index]) assert.deepEqual(state.get(one.id), one, "what was there before");
    }),
  );
});

test("C3: nothing is done before both sides were heard of whole", () => {
  const machine = new CopyMachine({ name: "me" });
  const one = endpointOf("alpha", 1);
  machine.target(whole(new Map([["alpha-9", endpointOf("alpha", 9, { metadata: { [COPIED_METADATA]: "me" } })]])));
  assert.ok(isEmpty(machine.plan()), "a copy of an earlier run goes when the source says so, not before");
  machine.source({ endpointVersion: 1, full: false, changed: [one], removed: [] });
  assert.ok(isEmpty(machine.plan()));
  machine.source(whole(new Map([[one.id, one]])));
  assert.deepEqual([machine.plan().register.map(({ id }) => id), machine.plan().remove], [["alpha-1"], ["alpha-9"]]);
});

test("health that the target's own checks find is left to them", () => {
  const machine = new CopyMachine({ name: "me", services: ["alpha"] });
  const source: State = new Map([
    ["alpha-1", endpointOf("alpha", 1)],
    ["beta-1", endpointOf("beta", 1)],
  ]);
  const target: State = new Map();
  assert.deepEqual(
    round(machine, source, target).register.map(({ id }) => id),
    ["alpha-1"],
  );
  const there = target.get("alpha-1") as Endpoint;
  target.set("alpha-1", { ...there, health: "unhealthy" });
  assert.ok(isEmpty(round(machine, source, target)));
  source.set("alpha-1", endpointOf("alpha", 1, { health: "draining" }));
  assert.deepEqual(round(machine, source, target).health, [{ id: "alpha-1", health: "draining" }]);
});
