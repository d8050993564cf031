import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Endpoint, Health } from "../core/endpoint.ts";
import type { EndpointValue } from "./endpoint-value.ts";
import { EndpointView } from "./endpoint-view.ts";
import type { EndpointChange } from "./lease-table.ts";
import { endpointOf } from "./registry.case.ts";

const valueFor = (number: number, part: Partial<Endpoint> = {}, check: Health = "healthy"): EndpointValue => ({
  endpoint: { ...endpointOf("alpha", number), ...part },
  check,
  owner: "o1",
  ttlMs: 3_000,
});

type Step =
  | { kind: "put"; id: number; port: number; beta: boolean; check: Health }
  | { kind: "removed"; id: number; hold: boolean }
  | { kind: "givenUp"; id: number }
  | { kind: "list"; ids: number[] }
  | { kind: "take" }
  | { kind: "setBack" };

const id = fc.integer({ min: 0, max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("put" as const),
    id,
    port: fc.integer({ min: 1, max: 3 }),
    beta: fc.boolean(),
    check: fc.constantFrom<Health>("healthy", "unhealthy"),
  }),
  fc.record({ kind: fc.constant("removed" as const), id, hold: fc.boolean() }),
  fc.record({ kind: fc.constant("givenUp" as const), id }),
  fc.record({ kind: fc.constant("list" as const), ids: fc.uniqueArray(id) }),
  fc.constant({ kind: "take" as const }),
  fc.constant({ kind: "setBack" as const }),
);

test("V1, V2, V3: changes give the list, versions grow with what is told, and what is held leaves by being given up alone", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const view = new EndpointView();
      const seen = new Map<string, Endpoint>();
      let revision = 0;
      const take = (): void => {
        const before = view.version;
        const changes = view.takeChanges(revision);
        assert.equal(view.version > before, changes !== null);
        for (const change of changes ?? []) apply(seen, change);
      };
      for (const one of steps) {
        revision++;
        if (one.kind === "put") {
          const service = one.beta ? "beta" : "alpha";
          view.put(valueFor(one.id, { port: one.port, service }, one.check), revision);
        } else if (one.kind === "removed") {
          const held = view.held;
          view.removed(`alpha-${one.id}`, "gone", one.hold ? 10 : null);
          assert.ok(view.held >= held, "what is held was removed");
        } else if (one.kind === "givenUp") {
          const present = view.get(`alpha-${one.id}`)?.heldUntil === null;
          view.givenUp(`alpha-${one.id}`, "lease expired");
          assert.equal(view.get(`alpha-${one.id}`) !== undefined, present);
        } else if (one.kind === "list") {
          take();
          const ids = new Set(view.list(["*"]).map((endpoint) => endpoint.id));
          const values = one.ids.map((number) => [`alpha-${number}`, { value: valueFor(number), revision }] as const);
          view.listed(new Map(values), 10);
          for (const known of ids) assert.ok(view.get(known) !== undefined, "a listing made an endpoint disappear");
          const before = view.version;
          view.advance(revision);
          assert.ok(view.version > before);
          seen.clear();
          for (const endpoint of view.list(["*"])) seen.set(endpoint.id, endpoint);
        } else if (one.kind === "take") take();
        else {
          take();
          revision = 0;
          view.listed(new Map(), 10);
          view.advance(revision);
        }
      }
      take();
      const list = view.list(["*"]);
      assert.deepEqual(sorted(list), sorted([...seen.values()]));
      assert.deepEqual(sorted(view.list(["alpha", "beta", "alpha"])), sorted(list));
    }),
  );
});

test("V4: what the store says twice changes nothing, nor what is older than what is known", () => {
  const view = new EndpointView();
  view.put(valueFor(1, { port: 2 }), 7);
  assert.equal(view.takeChanges(7)?.length, 1);
  view.put(valueFor(1, { port: 1 }), 6);
  view.put(valueFor(1, { port: 3 }), 7);
  assert.equal(view.takeChanges(8), null);
  view.put({ ...valueFor(1, { port: 2 }), owner: "o2" }, 8);
  assert.equal(view.takeChanges(8), null, "another owner of the same endpoint is nobody's business");
  assert.equal(view.get("alpha-1")?.value.owner, "o2");
  assert.equal(view.version, 7);
});

test("an endpoint that is put there again while it is held was never away", () => {
  const view = new EndpointView();
  view.put(valueFor(1), 5);
  view.takeChanges(5);
  view.removed("alpha-1", "lease expired", 100);
  assert.equal(view.takeChanges(6), null);
  assert.deepEqual(
    view.heldBefore(100).map(({ visible }) => visible.id),
    ["alpha-1"],
  );
  view.put(valueFor(1), 2);
  assert.equal(view.held, 0);
  assert.equal(view.takeChanges(7), null);
});

function apply(seen: Map<string, Endpoint>, { id, before, after }: EndpointChange): void {
  assert.deepEqual(seen.get(id) ?? null, before);
  if (after === null) seen.delete(id);
  else seen.set(id, after);
}

function sorted(list: readonly Endpoint[]): Endpoint[] {
  return [...list].sort((a, b) => (a.id < b.id ? -1 : 1));
}
