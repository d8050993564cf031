import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Endpoint } from "../../core/endpoint.ts";
import { seededRandom } from "../../core/random.ts";
import { endpoint } from "../machine/call.case.ts";
import { Pick, pickEndpoint } from "./balancer.ts";
import { BALANCER_KINDS } from "./balancer-field.ts";
import { balancerSettings } from "./balancer-settings.ts";
import type { BalancerSpec } from "./balancer-spec.ts";
import { EndpointTable } from "./endpoint-table.ts";
import { whyText } from "./why.ts";

function tableOf(endpoints: readonly Endpoint[], zone = "", service = ""): EndpointTable {
  const table = new EndpointTable();
  table.local.zone = zone;
  table.local.service = service;
  table.apply(true, endpoints, []);
  return table;
}

/** How many of `count` calls each endpoint gets, in percent; and the last pick. */
function shares(table: EndpointTable, spec: BalancerSpec, { count = 4_000, wanted = "", now = 0 } = {}) {
  const settings = balancerSettings(spec);
  const random = seededRandom(5);
  const seen: Record<string, number> = {};
  const pick = new Pick();
  pick.wanted = settings.subset?.wanted ?? wanted;
  for (let i = 0; i < count; i++) {
    const slot = pickEndpoint(table, table.group("a", ""), settings, 1e9, [], random, now, pick);
    const id = slot < 0 ? "none" : (table.endpoints[slot]?.id ?? "");
    seen[id] = (seen[id] ?? 0) + 100 / count;
  }
  return { seen, pick, why: whyText(pick) };
}

const about = (value: number | undefined, wanted: number, text = ""): void =>
  assert.ok(Math.abs((value ?? 0) - wanted) < 3, `${value} instead of ${wanted} ${text}`);

test("failover: the own zone first, then the others in their order, by health and overprovisioning", () => {
  const zones = ["eu-1", "eu-1", "eu-2", "eu-2", "us-1", "us-1"];
  const make = (sick: number) =>
    tableOf(
      zones.map((zone, i) => endpoint(`a-${i}`, { zone, health: i < sick ? "unhealthy" : "healthy" })),
      "eu-1",
    );
  const spec: BalancerSpec = { kind: "random", zones: { routing: "failover", order: ["eu-2"] } };
  const well = shares(make(0), spec).seen;
  about(well["a-0"], 50);
  about(well["a-1"], 50);
  const half = shares(make(1), spec);
  about(half.seen["a-1"], 70); // 50 % healthy x 1.4
  about((half.seen["a-2"] ?? 0) + (half.seen["a-3"] ?? 0), 30);
  assert.match(half.why, /random: one of \d; priority \d gets (70|30) %/);
  const gone = shares(make(2), spec).seen;
  about((gone["a-2"] ?? 0) + (gone["a-3"] ?? 0), 100);
  const both = shares(make(4), spec).seen;
  about((both["a-4"] ?? 0) + (both["a-5"] ?? 0), 100);
});

test("priorities from metadata; endpoints that were put aside count as unhealthy until they are back", () => {
  const table = tableOf(
    [0, 0, 1, 1].map((priority, i) => endpoint(`a-${i}`, { metadata: { priority: String(priority) } })),
  );
  const spec: BalancerSpec = { kind: "random", priorityFrom: "priority" };
  const before = shares(table, spec).seen;
  about((before["a-0"] ?? 0) + (before["a-1"] ?? 0), 100);
  table.failed(0, true, 1_000);
  const during = shares(table, spec, { now: 1_100 }).seen;
  about(during["a-1"], 70);
  const after = shares(table, spec, { now: 2_200 }).seen;
  about((after["a-0"] ?? 0) + (after["a-1"] ?? 0), 100);
});

test("zone-aware: the own zone's share stays, the rest goes where there are more endpoints than callers", () => {
  const zones = ["a", "b", "b", "c", "c", "c"];
  const endpoints = zones.map((zone, i) => endpoint(`a-${i}`, { zone }));
  const callers = ["a", "b", "c"].map((zone, i) => endpoint(`web-${i}`, { zone }));
  const spec: BalancerSpec = { kind: "random", zones: { routing: "aware" } };
  const { seen, why } = shares(tableOf([...endpoints, ...callers], "a", "web"), spec);
  about(seen["a-0"], 50);
  about((seen["a-1"] ?? 0) + (seen["a-2"] ?? 0), 0);
  about((seen["a-3"] ?? 0) + (seen["a-4"] ?? 0) + (seen["a-5"] ?? 0), 50);
  assert.match(why, /50 % stay in the own zone, zone [ac]/);
  // In a zone that has its share nothing leaves.
  about(shares(tableOf([...endpoints, ...callers], "c", "web"), spec).seen["a-3"], 33.3);
});

test("panic: below the threshold everybody is used, healthy or not, but for those that drain", () => {
  const table = tableOf([
    endpoint("a-0"),
    endpoint("a-1", { health: "unhealthy" }),
    endpoint("a-2", { health: "unhealthy" }),
    endpoint("a-3", { health: "draining" }),
  ]);
  const { seen, why } = shares(table, { kind: "round-robin", panicThreshold: 0.5 });
  for (const id of ["a-0", "a-1", "a-2"]) about(seen[id], 33.3, id);
  assert.equal(seen["a-3"], undefined);
  assert.match(why, /panic/);
  assert.deepEqual(Object.keys(shares(table, { kind: "round-robin" }).seen), ["a-0"]);
  assert.deepEqual(Object.keys(shares(table, { kind: "round-robin", panicThreshold: 0.3 }).seen), ["a-0"]);
});

test("subsets: those that match, or the fallback: any, none or the default subset", () => {
  const stages = ["canary", "prod", "prod", "dev"];
  const table = tableOf(stages.map((stage, i) => endpoint(`a-${i}`, { metadata: { stage } })));
  const match = { stage: "canary" };
  assert.deepEqual(Object.keys(shares(table, { subset: { match } }).seen), ["a-0"]);
  const byHeader = { stage: { header: "X-Stage" } };
  assert.deepEqual(Object.keys(shares(table, { subset: { match: byHeader } }, { wanted: "prod" }).seen).sort(), [
    "a-1",
    "a-2",
  ]);
  assert.equal(Object.keys(shares(table, { subset: { match: byHeader } }, { wanted: "none" }).seen).length, 4);
  assert.deepEqual(
    Object.keys(shares(table, { subset: { match: byHeader, fallback: "none" } }, { wanted: "x" }).seen),
    ["none"],
  );
  const { seen, why } = shares(
    table,
    { subset: { match: byHeader, fallback: "default", default: { stage: "dev" } } },
    { wanted: "x" },
  );
  assert.deepEqual(Object.keys(seen), ["a-3"]);
  assert.match(why, /subset stage=x has no endpoint, fell back on default/);
});

test("a process's own subset has its size, is the same whatever comes and goes elsewhere, and all together use all alike", () => {
  const all = Array.from({ length: 100 }, (_, i) => endpoint(`a-${i}`));
  const spec: BalancerSpec = { kind: "random", subsetSize: 10 };
  const used = new Map<string, number>();
  for (let seed = 0; seed < 200; seed++) {
    const table = tableOf(all);
    table.local.seed = seed * 7_919;
    const own = Object.keys(shares(table, spec, { count: 300 }).seen);
    assert.equal(own.length, 10);
    for (const id of own) used.set(id, (used.get(id) ?? 0) + 1);
    if (seed > 20) continue;
    table.apply(false, [], [{ id: own[0] }]);
    const after = Object.keys(shares(table, spec, { count: 300 }).seen);
    assert.equal(after.filter((id) => !own.includes(id)).length, 1);
  }
  assert.equal(used.size, 100);
  for (const count of used.values()) assert.ok(count > 5 && count < 40, String(count)); // 20 on average
});

test("every pick is one of what the layout allows, whatever changes come in between", () => {
  const change = fc.record({
    id: fc.nat(12),
    zone: fc.constantFrom("a", "b", "c"),
    health: fc.constantFrom("healthy" as const, "healthy" as const, "unhealthy" as const, "draining" as const),
    stage: fc.constantFrom("x", "y"),
    remove: fc.boolean(),
    kind: fc.constantFrom("random", "round-robin", "p2c", "ring-hash", "weighted-round-robin", "prequal", "maglev"),
  });
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 60 }),
      fc.constantFrom("aware", "failover", "off"),
      (changes, routing) => {
        const table = tableOf([], "a");
        const random = seededRandom(1);
        changes.forEach(({ id, zone, health, stage, remove, kind }, i) => {
          if (remove) table.apply(false, [], [{ id: `a-${id}` }]);
          else table.apply(false, [endpoint(`a-${id}`, { zone, health, metadata: { stage } })], []);
          const settings = balancerSettings({
            kind,
            tableSize: 251,
            zones: { routing, minEndpoints: 1 },
            subset: { match: { stage: "x" }, fallback: "none" },
            panicThreshold: 0,
          } as BalancerSpec);
          const pick = new Pick();
          pick.wanted = "x";
          const slot = pickEndpoint(table, table.group("a", ""), settings, 1e9, [], random, i * 200, pick);
          const allowed = [...table.slotsOf("a")].filter((at) => {
            const known = table.endpoints[at];
            return known?.health === "healthy" && known.metadata.stage === "x";
          });
          if (slot < 0) assert.equal(allowed.length, 0);
          else assert.ok(allowed.includes(slot));
        });
      },
    ),
    { numRuns: 60 },
  );
});

test("whatever is combined and whatever state endpoints are in, a pick is a known endpoint with room, or none has any", () => {
  const spec = fc.record({
    kind: fc.constantFrom(...BALANCER_KINDS),
    boundedLoad: fc.constantFrom(0, 1.25),
    slow: fc.boolean(),
    subsetSize: fc.constantFrom(0, 0, 2),
    routing: fc.constantFrom("aware" as const, "failover" as const, "off" as const),
    priorities: fc.boolean(),
    panicThreshold: fc.constantFrom(0, 0.5, 1),
    scan: fc.constantFrom("sample" as const, "full" as const),
  });
  const member = fc.record({
    zone: fc.constantFrom("a", "b", "c"),
    health: fc.constantFrom("healthy" as const, "healthy" as const, "unhealthy" as const, "draining" as const),
    weight: fc.constantFrom(1, 1, 5, 0.25),
    priority: fc.constantFrom("0", "1", "x"),
    inFlight: fc.integer({ min: 0, max: 3 }),
    aside: fc.boolean(),
    report: fc.constantFrom(
      "",
      "TEXT rps_fractional=9,cpu_utilization=0.5,named_metrics.rif=2,named_metrics.latency_ms=3",
    ),
  });
  fc.assert(
    fc.property(spec, fc.array(member, { maxLength: 10 }), fc.integer(), (one, members, seed) => {
      const endpoints = members.map(({ zone, health, weight, priority }, i) =>
        endpoint(`a-${i}`, { zone, health, weight, metadata: { priority } }),
      );
      const table = tableOf(endpoints, "a", "a");
      members.forEach(({ inFlight, aside, report }, i) => {
        table.inFlight[i] = inFlight;
        table.group("a", "").inFlight += inFlight;
        if (aside) table.failed(i, true, 0);
        if (report !== "") table.reported(i, "endpoint-load-metrics", report, 0);
      });
      const settings = balancerSettings({
        kind: one.kind,
        boundedLoad: one.boundedLoad,
        leastRequest: { scan: one.scan },
        subsetSize: one.subsetSize,
        zones: { routing: one.routing, minEndpoints: 1 },
        panicThreshold: one.panicThreshold,
        tableSize: 251,
        ...(one.slow && { slowStart: { window: "1s" } }),
        ...(one.priorities && { priorityFrom: "priority" }),
      });
      const random = seededRandom(seed);
      for (const now of [0, 20_000, 20_050, 21_500]) {
        const pick = new Pick();
        pick.hash = Math.floor(random.next() * 2 ** 32);
        const slot = pickEndpoint(table, table.group("a", ""), settings, 3, [], random, now, pick);
        whyText(pick);
        if (slot >= 0) {
          const { health } = members[slot];
          assert.ok(members[slot].inFlight < 3);
          assert.ok(health === "healthy" || (health === "unhealthy" && pick.panic), `${health}`);
        } else if (one.subsetSize === 0 && one.routing === "off" && !one.priorities && one.panicThreshold === 0) {
          assert.ok(members.every(({ health, inFlight }) => health !== "healthy" || inFlight >= 3));
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("a call does not go back to an endpoint of its zone that failed it while another zone has one", () => {
  const zones = ["eu-1", "eu-2", "eu-2"];
  for (const routing of ["failover", "aware"] as const) {
    const table = tableOf(
      zones.map((zone, i) => endpoint(`a-${i}`, { zone })),
      "eu-1",
    );
    const settings = balancerSettings({ zones: { routing, minEndpoints: 1 } });
    const random = seededRandom(1);
    for (let i = 0; i < 50; i++) {
      const pick = new Pick();
      const slot = pickEndpoint(table, table.group("a", ""), settings, 1e9, [0], random, 0, pick);
      assert.ok(slot === 1 || slot === 2, `${slot}`);
      if (pick.beyond) assert.match(whyText(pick), /nobody there would do, so one from elsewhere/);
    }
    assert.equal(pickEndpoint(table, table.group("a", ""), settings, 1e9, [0, 1, 2], random, 0, new Pick()) >= 0, true);
  }
});
