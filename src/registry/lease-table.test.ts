import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Endpoint, Health } from "../core/endpoint.ts";
import { LeaseTable } from "./lease-table.ts";

const TICK = 100;

function endpoint(id: string, service = "products", port = 9000): Endpoint {
  return {
    id,
    service,
    host: "10.0.0.1",
    port,
    version: "v1",
    zone: "",
    weight: 1,
    protocol: "h2c",
    health: "healthy",
    metadata: {},
  };
}

/** Advances in ticks from `from` to `to`, as a shell does. */
function run(table: LeaseTable, from: number, to: number): void {
  for (let now = from + TICK; now <= to; now += TICK) table.advance(now);
}

const operations = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("register" as const),
        id: fc.nat(12),
        service: fc.nat(2),
        ttl: fc.integer({ min: 1, max: 30 }),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("renew" as const), id: fc.nat(12) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("release" as const), id: fc.nat(12) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("health" as const),
        id: fc.nat(12),
        health: fc.constantFrom<Health>("healthy", "unhealthy", "draining"),
        check: fc.boolean(),
      }),
    },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("ticks" as const), count: fc.integer({ min: 1, max: 8 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("take" as const) }) },
  ),
  { maxLength: 120 },
);

test("L1, L2, L3, L4: against a plain model, leases end when they must and the changes tell all of it", () => {
  fc.assert(
    fc.property(operations, (ops) => {
      const table = new LeaseTable({ tickMs: TICK, protectionRatio: 1, protectionMinimum: 1_000 });
      const model = new Map<string, { expiresAt: number; token: number }>();
      const seen = new Map<string, Endpoint>();
      const tokens = new Map<string, number>();
      let now = 0;
      let version = 0;
      const take = () => {
        for (const { id, after } of table.takeChanges() ?? []) {
          if (after === null) seen.delete(id);
          else seen.set(id, after);
        }
      };
      for (const op of ops) {
        if (op.kind === "ticks") {
          for (let i = 0; i < op.count; i++) {
            table.advance((now += TICK));
            for (const [id, { expiresAt }] of model) if (expiresAt <= now) model.delete(id);
          }
        } else if (op.kind === "take") {
          take();
        } else {
          const id = `e${op.id}`;
          if (op.kind === "register") {
            const ttl = op.ttl * 37;
            const token = table.register(endpoint(id, `s${op.service}`), ttl, now);
            // L2 allows a tick: the model rounds up to the tick at which the machine looks.
            model.set(id, { expiresAt: Math.ceil((now + ttl) / TICK) * TICK, token });
            tokens.set(id, token);
          } else if (op.kind === "renew") {
            const known = model.get(id);
            const outcome = table.renew(id, tokens.get(id) ?? -1, now);
            assert.equal(outcome, known === undefined ? "expired" : "renewed");
            if (known !== undefined) known.expiresAt = Math.ceil((now + (table.ttlOf(id) ?? 0)) / TICK) * TICK;
          } else if (op.kind === "release") {
            assert.equal(table.release(id, tokens.get(id) ?? -1), model.delete(id));
          } else {
            assert.equal(table.setHealth(id, op.health, "test", op.check ? "check" : "owner"), model.has(id));
          }
        }
        assert.ok(table.version >= version, "L4");
        version = table.version;
        assert.deepEqual(
          table
            .list(["*"])
            .map((e) => e.id)
            .sort(),
          [...model.keys()].sort(),
          "L1, L2",
        );
      }
      take();
      const byId = (a: Endpoint, b: Endpoint) => (a.id < b.id ? -1 : 1);
      assert.deepEqual([...seen.values()].sort(byId), table.list(["*"]).sort(byId), "L3");
    }),
    { numRuns: 300 },
  );
});

test("L4: registering the same again, or saying the same health again, is no change", () => {
  const table = new LeaseTable();
  table.register(endpoint("a"), 1_000, 0);
  const { version } = table;
  table.register({ ...endpoint("a") }, 1_000, 10);
  table.setHealth("a", "healthy", "again", "check");
  assert.equal(table.version, version);
  table.register(endpoint("a", "products", 9001), 1_000, 10);
  assert.equal(table.version, version + 1);
});

test("L5: when most leases run out together, no more than the allowance is evicted in a window", () => {
  fc.assert(
    fc.property(fc.integer({ min: 20, max: 200 }), fc.integer({ min: 0, max: 40 }), (count, spread) => {
      const table = new LeaseTable({
        tickMs: TICK,
        protectionRatio: 0.3,
        protectionMinimum: 5,
        protectionWindowMs: 60_000,
      });
      for (let i = 0; i < count; i++) table.register(endpoint(`e${i}`), 10_000, (i % (spread + 1)) * TICK);
      run(table, 0, 50_000);
      assert.ok(count - table.size <= Math.max(5, Math.floor(0.3 * count)), `${count - table.size} of ${count}`);
      assert.equal(table.held, table.size);
      // Those who come back are held no longer; the others go as the window moves on.
      run(table, 50_000, 1_800_000);
      assert.equal(table.size, 0);
    }),
    { numRuns: 30 },
  );
});

test("a held lease that is renewed lives on for a full period", () => {
  const table = new LeaseTable({ tickMs: TICK, protectionRatio: 0, protectionMinimum: 0 });
  const token = table.register(endpoint("a"), 1_000, 0);
  run(table, 0, 5_000);
  assert.equal(table.held, 1);
  assert.equal(table.renew("a", token, 5_000), "renewed");
  run(table, 5_000, 5_900);
  assert.equal(table.held, 0);
  run(table, 5_900, 6_100);
  assert.equal(table.held, 1);
});

test("L6: what is restored has a full period of grace", () => {
  const table = new LeaseTable({ tickMs: TICK });
  const token = table.restore(endpoint("a"), 5_000, "healthy", "unhealthy", 1_000);
  assert.equal(table.get("a")?.health, "unhealthy");
  run(table, 1_000, 5_900);
  assert.equal(table.size, 1);
  assert.equal(table.renew("a", token, 5_900), "renewed");
});

test("L6: a process that stood still evicts nobody for as long again", () => {
  const table = new LeaseTable({ tickMs: TICK });
  const token = table.register(endpoint("a"), 3_000, 0);
  table.register(endpoint("b"), 3_000, 0);
  run(table, 0, 1_000);
  table.advance(11_000); // stopped for ten seconds
  assert.equal(table.size, 2);
  assert.equal(table.renew("a", token, 11_050), "renewed");
  run(table, 11_000, 13_900);
  assert.equal(table.size, 2);
  for (let now = 14_000; now <= 21_100; now += TICK) {
    table.renew("a", token, now);
    table.advance(now);
  }
  assert.deepEqual(
    table.list(["*"]).map((e) => e.id),
    ["a"],
  );
});

test("a table that was empty for long does not take that for a stall", () => {
  const table = new LeaseTable({ tickMs: TICK });
  const token = table.register(endpoint("a"), 1_000, 0);
  run(table, 0, 500);
  table.release("a", token);
  table.register(endpoint("b"), 1_000, 100_000);
  run(table, 100_000, 101_100);
  assert.equal(table.size, 0);
});

test("a lease is its last owner's: an earlier one can neither renew nor release it", () => {
  const table = new LeaseTable();
  const first = table.register(endpoint("a"), 1_000, 0);
  const second = table.register(endpoint("a"), 1_000, 0);
  assert.equal(table.renew("a", first, 10), "replaced");
  assert.equal(table.release("a", first), false);
  assert.equal(table.renew("a", second, 10), "renewed");
});

test("health is draining if the owner says so, unhealthy if either does", () => {
  const table = new LeaseTable();
  const seen = () => table.get("a")?.health;
  table.register(endpoint("a"), 1_000, 0);
  table.setHealth("a", "unhealthy", "refused", "check");
  assert.equal(seen(), "unhealthy");
  table.setHealth("a", "draining", "stopping", "owner");
  assert.equal(seen(), "draining");
  table.setHealth("a", "healthy", "on again", "owner");
  assert.equal(seen(), "unhealthy");
  table.register(endpoint("a"), 1_000, 0);
  assert.equal(seen(), "healthy");
});

test("a move to another service is told as one change that names both", () => {
  const table = new LeaseTable();
  table.register(endpoint("a", "old"), 1_000, 0);
  table.takeChanges();
  table.register(endpoint("a", "new"), 1_000, 0);
  const [change] = table.takeChanges() ?? [];
  assert.deepEqual([change.before?.service, change.after?.service], ["old", "new"]);
  assert.deepEqual(table.list(["old"]), []);
});

test("renewing 100,000 leases touches nothing but their expiry", () => {
  const table = new LeaseTable({ tickMs: TICK });
  const tokens: number[] = [];
  for (let i = 0; i < 100_000; i++) tokens.push(table.register(endpoint(`e${i}`, `s${i % 1_000}`), 15_000, 0));
  const started = process.cpuUsage();
  for (let i = 0; i < 100_000; i++) table.renew(`e${i}`, tokens[i], 5_000);
  run(table, 0, 16_000);
  assert.equal(table.size, 100_000);
  assert.ok(process.cpuUsage(started).user < 5_000_000, "renewals and ticks of 100,000 leases took over five seconds");
});
