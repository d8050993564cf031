import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProbeResult } from "../call/health/probe-result.ts";
import { VirtualClock } from "../core/clock.ts";
import type { Endpoint, Health } from "../core/endpoint.ts";
import { seededRandom } from "../core/random.ts";
import { LeaseTable } from "../registry/lease-table.ts";
import { endpointOf } from "../registry/registry.case.ts";
import type { EndpointDelta, Registry } from "../registry/registry.ts";
import { HealthChecker } from "./health-checker.ts";

/** A checker over a real lease table, with probes that the test answers. */
function world(maxProbes?: number) {
  const clock = new VirtualClock();
  const table = new LeaseTable();
  let listener: (delta: EndpointDelta) => void = () => {};
  const publish = () => {
    for (const { id, before, after, reason } of table.takeChanges() ?? []) {
      const removed = after === null && before !== null ? [{ id, service: before.service, reason }] : [];
      listener({ endpointVersion: table.version, full: false, changed: after === null ? [] : [after], removed });
    }
  };
  const registry = {
    watch(_: readonly string[], to: (delta: EndpointDelta) => void) {
      listener = to;
      to({ endpointVersion: table.version, full: true, changed: table.list(["*"]), removed: [] });
      return { close() {} };
    },
    async setHealth(id: string, health: Health, reason: string, by: "check") {
      table.setHealth(id, health, reason, by);
      publish();
    },
  } as unknown as Registry;
  const answers = new Map<string, ProbeResult["outcome"]>();
  const probes: string[] = [];
  let running = 0;
  let most = 0;
  const checker = new HealthChecker({
    registry,
    clock,
    random: seededRandom(1),
    defaults: { intervalMs: 1_000 },
    ...(maxProbes !== undefined && { maxProbes }),
    createProber: ({ id }) => ({
      async probe() {
        probes.push(id);
        most = Math.max(most, ++running);
        await null;
        running--;
        const outcome = answers.get(id) ?? "passed";
        return { outcome, message: outcome === "passed" ? "" : "no good" };
      },
      close() {},
    }),
  });
  checker.start();
  return {
    table,
    checker,
    probes,
    answers,
    most: () => most,
    register(endpoint: Endpoint) {
      table.register(endpoint, 60_000, clock.now());
      publish();
    },
    owner(id: string, health: Health) {
      table.setHealth(id, health, "test", "owner");
      publish();
    },
    health: (id: string) => table.get(id)?.health,
    async pass(ms: number) {
      for (let left = ms; left > 0; left -= 100) {
        clock.advance(Math.min(100, left));
        await settle();
      }
    },
    settle,
  };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await null;
}

test("an endpoint is probed at once and then every interval; the unhealthy leave and come back", async () => {
  const { register, probes, answers, pass, settle, health, checker } = world();
  register(endpointOf("a", 1));
  await settle();
  assert.equal(probes.length, 1);
  await pass(10_000);
  assert.ok(probes.length >= 10 && probes.length <= 12, `${probes.length} probes in 10 s`);
  answers.set("a-1", "failed");
  await pass(2_000);
  assert.equal(health("a-1"), "healthy");
  await pass(2_000);
  assert.equal(health("a-1"), "unhealthy");
  assert.deepEqual(checker.describe("a-1"), { check: "tcp", message: "no good" });
  answers.set("a-1", "passed");
  await pass(2_400);
  assert.equal(health("a-1"), "healthy");
  checker.close();
});

test("a suspect whose connection is refused is out at once", async () => {
  const { register, answers, settle, health, checker } = world();
  register(endpointOf("a", 1));
  await settle();
  answers.set("a-1", "refused");
  checker.suspect("a-1");
  await settle();
  assert.equal(health("a-1"), "unhealthy");
});

test("registered again, an endpoint is back at once, until a probe says otherwise", async () => {
  const { register, answers, settle, health, checker, pass } = world();
  register(endpointOf("a", 1));
  await settle();
  answers.set("a-1", "refused");
  checker.suspect("a-1");
  await settle();
  answers.set("a-1", "passed");
  register(endpointOf("a", 1));
  assert.equal(health("a-1"), "healthy");
  await pass(3_000);
  assert.equal(health("a-1"), "healthy");
});

test("who drains is not probed, and is again when it does no longer", async () => {
  const { register, probes, settle, owner, pass, health } = world();
  register(endpointOf("a", 1));
  await settle();
  owner("a-1", "draining");
  await pass(1_200);
  const { length } = probes;
  await pass(5_000);
  assert.equal(probes.length, length);
  owner("a-1", "healthy");
  await pass(1_200);
  assert.ok(probes.length > length);
  assert.equal(health("a-1"), "healthy");
});

test("no more probes than allowed are on their way at once, and none is forgotten", async () => {
  const { register, probes, most, pass } = world(4);
  for (let i = 0; i < 50; i++) register(endpointOf("a", i, { host: "10.0.0.1" }));
  await pass(900);
  assert.equal(most(), 4);
  assert.equal(new Set(probes).size, 50);
});

test("an endpoint that is gone is probed no more", async () => {
  const { register, probes, table, settle, pass, checker } = world();
  register(endpointOf("a", 1));
  await settle();
  table.release("a-1", 1);
  register(endpointOf("b", 1)); // publishes
  await settle();
  const before = probes.filter((id) => id === "a-1").length;
  await pass(5_000);
  assert.equal(probes.filter((id) => id === "a-1").length, before);
  assert.equal(checker.describe("a-1").check, "");
});

test("when most endpoints do not answer, those that are left are not taken out; who is refused is", async () => {
  const { register, answers, pass, health } = world();
  for (let i = 0; i < 40; i++) register(endpointOf("a", i, { host: "10.0.0.1" }));
  await pass(1_500);
  for (let i = 0; i < 40; i++) answers.set(`a-${i}`, "failed");
  await pass(6_000);
  const healthy = () => Array.from({ length: 40 }, (_, i) => health(`a-${i}`)).filter((it) => it === "healthy").length;
  assert.equal(healthy(), 20);
  answers.set("a-0", "refused");
  answers.set("a-39", "refused");
  await pass(1_500);
  assert.equal(health("a-39"), "unhealthy");
  assert.equal(health("a-0"), "unhealthy");
  for (let i = 0; i < 40; i++) answers.set(`a-${i}`, "passed");
  await pass(4_000);
  assert.equal(healthy(), 40);
});

test("who is not to be probed is not, is known as such, and is probed when it asks for that", async () => {
  const { register, probes, settle, pass, checker, answers, health } = world();
  const ttl = endpointOf("alpha", 1, { metadata: { "weft.health-check": "ttl" } });
  const udp = endpointOf("alpha", 2, { protocol: "udp" });
  register(ttl);
  register(udp);
  await settle();
  checker.suspect(ttl.id);
  await pass(5_000);
  assert.equal(probes.length, 0);
  assert.deepEqual(checker.describe(ttl.id), { check: "ttl", message: "" });
  assert.deepEqual(checker.describe(udp.id), { check: "ttl", message: "" });
  answers.set(ttl.id, "refused");
  register({ ...ttl, metadata: {} });
  await settle();
  assert.ok(probes.includes(ttl.id));
  assert.equal(checker.describe(ttl.id).check, "tcp");
  assert.equal(health(ttl.id), "unhealthy");
  register(ttl);
  await settle();
  const before = probes.length;
  await pass(5_000);
  assert.equal(probes.length, before, "it asked to be left alone again");
  assert.equal(checker.describe(ttl.id).check, "ttl");
});
