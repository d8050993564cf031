import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { endpoint } from "../machine/call.case.ts";
import { EndpointTable } from "./endpoint-table.ts";

const slotOf = (table: EndpointTable, service: string, id: string): number => {
  for (const slot of table.slotsOf(service)) if (table.endpoints[slot]?.id === id) return slot;
  return -1;
};

test("statistics of endpoints that stay are kept, of those whose address changed they are not", () => {
  const table = new EndpointTable();
  table.apply(true, [endpoint("a-1"), endpoint("a-2")], []);
  table.observe(slotOf(table, "a", "a-1"), 40, 0, 10_000);
  table.observe(slotOf(table, "a", "a-2"), 50, 0, 10_000);
  table.apply(true, [endpoint("a-1", { weight: 2 }), endpoint("a-2", { port: 1 }), endpoint("a-3")], []);
  assert.equal(table.ewmaMs[slotOf(table, "a", "a-1")], 40);
  assert.equal(table.ewmaMs[slotOf(table, "a", "a-2")], 0);
  assert.equal(table.endpoints[slotOf(table, "a", "a-1")]?.weight, 2);
});

test("a slot that is given to another endpoint has another generation", () => {
  const table = new EndpointTable();
  table.apply(true, [endpoint("a-1")], []);
  const slot = slotOf(table, "a", "a-1");
  const generation = table.generation[slot];
  table.apply(false, [endpoint("a-2")], [{ id: "a-1" }]);
  assert.equal(slotOf(table, "a", "a-2"), slot);
  assert.notEqual(table.generation[slot], generation);
});

test("peak EWMA jumps up at once and comes down with time", () => {
  const table = new EndpointTable();
  table.apply(true, [endpoint("a-1")], []);
  table.observe(0, 10, 0, 10_000);
  table.observe(0, 100, 1, 10_000);
  assert.equal(table.ewmaMs[0], 100);
  table.observe(0, 10, 10_001, 10_000);
  assert.ok(table.ewmaMs[0] > 40 && table.ewmaMs[0] < 50); // 100/e + 10(1 - 1/e)
});

test("put aside for 1 s, then for longer each time until it answers", () => {
  const table = new EndpointTable();
  table.apply(true, [endpoint("a-1")], []);
  table.failed(0, true, 0);
  table.failed(0, true, 500); // one burst counts once
  assert.equal(table.inRotation(0, 999), false);
  assert.equal(table.inRotation(0, 1_000), true);
  table.failed(0, true, 1_000);
  assert.equal(table.inRotation(0, 2_999), false);
  table.alive(0);
  assert.equal(table.inRotation(0, 2_999), true);
  table.failed(0, false, 3_000);
  table.failed(0, false, 3_000);
  assert.equal(table.inRotation(0, 3_000), true);
  table.failed(0, false, 3_000);
  assert.equal(table.inRotation(0, 3_000), false);
});

test("after any deltas the groups hold exactly the healthy endpoints", () => {
  const change = fc.record({
    id: fc.integer({ min: 1, max: 90 }),
    service: fc.constantFrom("a", "b"),
    version: fc.constantFrom("", "v1", "v2"),
    health: fc.constantFrom("healthy" as const, "healthy" as const, "unhealthy" as const, "draining" as const),
    weight: fc.integer({ min: 1, max: 9 }),
    remove: fc.boolean(),
    full: fc.integer({ min: 0, max: 30 }),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
      const table = new EndpointTable();
      const model = new Map<string, ReturnType<typeof endpoint>>();
      for (const { id: number, service, version, health, weight, remove, full } of changes) {
        const id = `${service}-${number}`;
        const next = endpoint(id, { version, health, weight });
        if (full === 0) model.clear();
        if (remove && full !== 0) {
          model.delete(id);
          table.apply(false, [], [{ id }]);
        } else {
          model.set(id, next);
          table.apply(full === 0, [next], []);
        }
      }
      for (const service of ["a", "b"]) {
        for (const version of ["", "v1", "v2"]) {
          const group = table.group(service, version);
          const members = group.slots.map((slot) => table.endpoints[slot]?.id ?? "none").sort();
          const wanted = [...model.values()].filter(
            (other) =>
              other.service === service && other.health === "healthy" && (version === "" || other.version === version),
          );
          assert.deepEqual(members, wanted.map(({ id }) => id).sort());
          assert.equal(group.maxWeight, Math.max(0, ...wanted.map(({ weight }) => weight)));
          group.slots.forEach((slot, i) => {
            assert.equal(group.weightAt(i), table.endpoints[slot]?.weight);
          });
        }
      }
    }),
  );
});

test("one call at a time tries an endpoint that was put aside, and its failure counts", () => {
  const table = new EndpointTable();
  table.apply(true, [endpoint("a-1")], []);
  table.inFlight[0] = 1; // a long stream goes on, which must not keep it out for ever
  table.failed(0, true, 0);
  assert.equal(table.inRotation(0, 1_000), true);
  table.chosen(0, 1_000);
  assert.equal(table.inRotation(0, 1_001), false);
  table.failed(0, true, 1_010);
  assert.equal(table.inRotation(0, 3_009), false); // 2 s the second time
  assert.equal(table.inRotation(0, 3_010), true);
  table.chosen(0, 3_010);
  table.alive(0);
  assert.equal(table.inRotation(0, 3_011), true);
});

test("100,000 endpoints of 1,000 services: one change costs less than a thousandth of taking them all in, and little memory", () => {
  const all = Array.from({ length: 100_000 }, (_, i) =>
    endpoint(`s${Math.floor(i / 100)}-${i % 100}`, { version: `v${i % 3}`, zone: `z${i % 3}` }),
  );
  const before = process.memoryUsage();
  const started = performance.now();
  const table = new EndpointTable();
  table.apply(true, all, []);
  const wholeMs = performance.now() - started;
  const after = process.memoryUsage();
  const changes = 1_000;
  const changing = performance.now();
  for (let i = 0; i < changes; i++) {
    const one = all[(i * 7_919) % all.length];
    table.apply(false, [{ ...one, weight: 2 + (i % 3), health: i % 2 === 0 ? "healthy" : "unhealthy" }], []);
  }
  const changeMs = (performance.now() - changing) / changes;
  assert.ok(changeMs < wholeMs / 1_000, `${changeMs} ms against ${wholeMs} ms`);
  const bytes = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  assert.ok(bytes < 100e6, `${Math.round(bytes / 1e6)} MB`);
});

test("an endpoint that survives updates keeps its statistics, whatever else about it and others changes", () => {
  const change = fc.record({
    id: fc.integer({ min: 1, max: 30 }),
    service: fc.constantFrom("a", "b"),
    parts: fc.record({
      version: fc.constantFrom("", "v1", "v2"),
      zone: fc.constantFrom("x", "y"),
      weight: fc.integer({ min: 1, max: 9 }),
      health: fc.constantFrom("healthy" as const, "healthy" as const, "unhealthy" as const, "draining" as const),
      metadata: fc.constantFrom<Record<string, string>>({}, { stage: "canary" }),
    }),
    moved: fc.integer({ min: 0, max: 9 }),
    kind: fc.constantFrom("set", "set", "set", "remove", "full"),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 150 }), (changes) => {
      const table = new EndpointTable();
      const known = new Map<string, { endpoint: ReturnType<typeof endpoint>; mark: number }>();
      let mark = 0;
      for (const { id: number, service, parts, moved, kind } of changes) {
        const id = `${service}-${number}`;
        const before = known.get(id);
        const port = moved === 0 ? 7_000 + mark : (before?.endpoint.port ?? 1);
        const next = endpoint(id, { ...parts, port });
        if (kind === "remove") {
          table.apply(false, [], [{ id }]);
          known.delete(id);
          continue;
        }
        if (kind === "full") {
          // Everything but what is of the other service.
          for (const other of known.keys()) if (!other.startsWith(service)) known.delete(other);
          table.apply(
            true,
            [...[...known.values()].map((one) => one.endpoint).filter((one) => one.id !== id), next],
            [],
          );
        } else table.apply(false, [next], []);
        const slot = slotOf(table, service, id);
        if (before === undefined || !known.has(id) || before.endpoint.port !== port) {
          assert.equal(table.ewmaMs[slot], 0);
          assert.equal(table.inFlight[slot], 0);
          known.set(id, { endpoint: next, mark: ++mark });
          table.ewmaMs[slot] = table.inFlight[slot] = table.outlierUntil[slot] = mark;
        } else {
          if (before.endpoint.health !== "healthy" && next.health === "healthy") table.outlierUntil[slot] = before.mark; // pardoned
          known.set(id, { endpoint: next, mark: before.mark });
        }
        for (const [name, one] of known) {
          const at = slotOf(table, one.endpoint.service, name);
          assert.deepEqual(
            [table.ewmaMs[at], table.inFlight[at], table.outlierUntil[at]],
            [one.mark, one.mark, one.mark],
          );
        }
      }
    }),
    { numRuns: 60 },
  );
});
