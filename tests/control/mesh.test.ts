import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "../../conformance/free-port.ts";
import { createDirectClient } from "../../src/call/direct.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import { WeftError } from "../../src/core/errors.ts";
import { LATENCY_BUCKETS } from "../../src/core/latency-buckets.ts";
import { traffic } from "../../src/policy/builders.ts";
import type { PolicyRuntime } from "../../src/policy/runtime.ts";
import { eventually, registrationOf, World } from "./world.ts";

function called(policy: PolicyRuntime, service: string, version: string, times: number, failed = 0): void {
  const edge = policy.edges.edge(service, version);
  for (let i = 0; i < times; i++) policy.edges.count(edge, i < failed ? 503 : 200, -1, i < failed ? 2 : 1, true, 4);
}

const resourcesFor = (services: readonly string[], timeout: string): string =>
  JSON.stringify(services.flatMap((name) => traffic(name).timeout(timeout).resources()));

test("the topology says who calls whom, how that goes, and what every data plane enforces", async (t) => {
  const world = new World();
  t.after(() => world.close());
  await world.startInMemory();
  const admin = world.admin();
  const orders = world.link({ process: "orders-1", service: "orders", role: "service" });
  const gateway = world.link({ process: "gateway", role: "gateway" });
  world.link({ process: "weft-call" });
  await orders.link.register(registrationOf("orders"));
  await orders.link.register(registrationOf("payments", 1, { version: "v1" }));
  await gateway.link.subscribe("*");
  await orders.link.subscribe("payments");
  called(orders.policy, "payments", "v1", 30, 3);
  called(orders.policy, "payments", "v2", 10);
  called(gateway.policy, "orders", "v1", 40);
  await admin.publishRevision({ resources: resourcesFor(["orders"], "1s"), source: "a", waitMs: 2_000 });
  await eventually(async () => (await admin.getTopology({})).edges.length === 4, "four edges");
  const { nodes, edges, planes, problems, revision } = await admin.getTopology({ probeTimeoutMs: 1_000 });
  assert.equal(revision, 1n);
  assert.deepEqual(
    nodes.map(({ name, kind }) => `${kind} ${name}`),
    ["gateway gateway", "service orders", "outside outside", "service payments"],
  );
  assert.deepEqual(
    edges.map(({ from, to, version, calls, errors }) => `${from} > ${to}@${version} ${calls} ${errors}`),
    ["gateway > orders@v1 40 0", "orders > payments@v1 30 3", "orders > payments@v2 10 0", "outside > gateway@ 40 0"],
  );
  const [, v1] = edges;
  assert.ok(v1.callsPerSecond > 2 && v1.callsPerSecond < 60, `${v1.callsPerSecond}`);
  assert.deepEqual([v1.errorRatio, v1.secureRatio, v1.attemptsPerCall, v1.share], [0.1, 1, 1.1, 0.75]);
  assert.ok(v1.p50Ms > 3 && v1.p50Ms < 5, `${v1.p50Ms}`);
  assert.deepEqual(
    planes.map(({ kind, service, sent, acknowledged, enforced }) => [kind, service, sent, acknowledged, enforced]),
    [
      ["gateway", "", 1n, 1n, 1n],
      ["service", "orders", 1n, 1n, 1n],
    ],
  );
  assert.deepEqual(
    problems.map(({ kind, subject }) => `${kind} ${subject}`),
    ["errors orders -> payments@v1"],
  );
  const some = await admin.getTopology({ services: ["payments"] });
  assert.deepEqual(
    some.nodes.map(({ name }) => name),
    ["orders", "payments"],
  );
});

test("a process that cannot use a revision says why, keeps the one before, and publishing tells", async (t) => {
  const world = new World();
  t.after(() => world.close());
  await world.startInMemory();
  const admin = world.admin();
  const strict = world.link({ process: "orders-1", service: "orders", role: "service" });
  const { applyResources } = strict.policy;
  strict.policy.applyResources = function refusing(revision, resources, methods) {
    if (resources.some(({ metadata }) => metadata.name === "payments"))
      throw new WeftError("invalid_argument", "from the future");
    applyResources.call(this, revision, resources, methods);
  };
  const other = world.link({ process: "cart-1", service: "cart", role: "service" });
  await strict.link.subscribe("payments");
  await other.link.subscribe("orders");
  const first = await admin.publishRevision({
    resources: resourcesFor(["orders"], "1s"),
    source: "a",
    author: "x",
    waitMs: 2_000,
  });
  assert.deepEqual([first.delivery?.planes, first.delivery?.applied], [2, 2]);
  const second = await admin.publishRevision({
    resources: resourcesFor(["orders", "payments"], "2s"),
    source: "a",
    author: "x",
    waitMs: 2_000,
  });
  assert.equal(second.delivery?.applied, 1);
  assert.match(second.delivery?.refused[0].process ?? "", /^orders-1\//);
  assert.equal(second.delivery?.refused[0].reason, "from the future");
  const { planes, problems } = await admin.getTopology({ probeTimeoutMs: 1_000 });
  const refusing = planes.find(({ service }) => service === "orders");
  assert.deepEqual([refusing?.sent, refusing?.acknowledged, refusing?.enforced], [2n, 1n, 1n]);
  assert.equal(refusing?.refusals[0].reason, "from the future");
  assert.equal(problems[0].kind, "refused");
  const { processes } = await admin.listProcesses({});
  assert.equal(processes.find(({ service }) => service === "orders")?.refusal, "from the future");
  // Without the resource that it could not use it goes on.
  await admin.publishRevision({ resources: resourcesFor(["orders"], "3s"), source: "a", author: "x", waitMs: 2_000 });
  assert.equal(strict.policy.revision, 3);
});

test("a process holds what concerns the services that it uses, and others' changes only advance its revision", async (t) => {
  const world = new World();
  t.after(() => world.close());
  await world.startInMemory();
  const admin = world.admin();
  const services = Array.from({ length: 50 }, (_, i) => `service-${i}`);
  const publish = (timeout: (name: string) => string) => {
    const resources = JSON.stringify(services.flatMap((name) => traffic(name).timeout(timeout(name)).resources()));
    return admin.publishRevision({ resources, source: "a", author: "x", waitMs: 2_000 });
  };
  await publish(() => "1s");
  const user = world.link({ process: "user-1", service: "service-9", role: "service" });
  const held: string[][] = [];
  const { applyResources } = user.policy;
  user.policy.applyResources = function counting(revision, resources, methods) {
    held.push(resources.map(({ metadata }) => metadata.name));
    applyResources.call(this, revision, resources, methods);
  };
  await user.link.subscribe("service-1");
  await user.link.subscribe("service-2");
  assert.deepEqual(held.at(-1), ["service-1", "service-2", "service-9"]);
  const times = held.length;
  await publish((name) => (name === "service-7" ? "2s" : "1s"));
  assert.equal(user.policy.revision, 2);
  assert.equal(held.length, times);
  await publish((name) => (name === "service-2" ? "2s" : "1s"));
  assert.equal(user.policy.revision, 3);
  assert.equal(held.length, times + 1);
  const { planes } = await admin.getTopology({ probeTimeoutMs: 1_000 });
  assert.deepEqual([planes[0].acknowledged, planes[0].enforced], [3n, 3n]);
});

test("a control plane that was restarted has the topology again, and what concerned a process still does", async (t) => {
  const world = new World();
  t.after(() => world.close());
  const first = await world.start({ port: await freePort() });
  const admin = world.admin();
  await admin.publishRevision({ resources: resourcesFor(["payments", "cart"], "1s"), source: "a", author: "x" });
  const orders = world.link({ process: "orders-1", service: "orders", role: "service" });
  await orders.link.subscribe("payments");
  called(orders.policy, "payments", "v1", 20);
  await eventually(async () => (await admin.getTopology({})).edges.length === 1, "the edge");
  const { port } = first;
  await first.stop();
  let fewest = Number.POSITIVE_INFINITY;
  const { applyResources } = orders.policy;
  orders.policy.applyResources = function watching(revision, resources, methods) {
    fewest = Math.min(fewest, resources.length);
    applyResources.call(this, revision, resources, methods);
  };
  await world.start({ port });
  await eventually(() => orders.link.connected, "the line");
  const again = createDirectClient(Admin, `127.0.0.1:${port}`);
  world.onClose(() => again.close());
  await eventually(async () => (await again.client.getTopology({})).edges.length === 1, "the edge again");
  const { edges, planes } = await again.client.getTopology({ probeTimeoutMs: 1_000 });
  assert.equal(edges[0].calls, 20n);
  assert.equal(edges[0].callsPerSecond, 0, "what was told before is no rate of now");
  assert.deepEqual([planes[0].acknowledged, planes[0].enforced], [1n, 1n]);
  assert.ok(fewest >= 1, "for no moment it was without the policy of a service that it uses");
});

test("what a process tells of its calls is bounded, and goes with its line", async (t) => {
  const world = new World();
  t.after(() => world.close());
  await world.startInMemory();
  const admin = world.admin();
  const orders = world.link({ process: "orders-1", service: "orders", role: "service" });
  await orders.link.subscribe("payments");
  called(orders.policy, "payments", "v1", 1);
  await eventually(async () => (await admin.getTopology({})).edges.length === 1, "the edge");
  await orders.link.close();
  await eventually(async () => (await admin.getTopology({})).edges.length === 0, "nothing of who has gone");
  const wrong = world.control().attach(
    (async function* () {
      yield { message: { case: "hello" as const, value: { process: "liar", service: "liar", role: 2 } } };
      const buckets = Array.from({ length: 1_000 }, (_, i) => i);
      const latency = { buckets, counts: buckets.map(BigInt) };
      const edges = [{ service: "x".repeat(10_000) }, { service: "payments", calls: 1n, latency }];
      yield { message: { case: "traffic" as const, value: { edges } } };
      const sound = { service: "payments", calls: 7n, latency: { buckets: [LATENCY_BUCKETS + 5], counts: [1n] } };
      yield { message: { case: "traffic" as const, value: { edges: [sound] } } };
      await new Promise((resolve) => setTimeout(resolve, 300));
    })(),
  );
  void (async () => {
    for await (const _message of wrong);
  })().catch(() => {});
  await eventually(async () => (await admin.getTopology({})).edges.length === 1, "what made sense");
  assert.equal((await admin.getTopology({})).edges[0].calls, 7n);
});

test("a burst of revisions is accepted whole, every data plane ends at the last, and each holds what concerns it", async (t) => {
  const world = new World();
  t.after(() => world.close());
  const plane = await world.startInMemory({ defaultTtlMs: 60_000 });
  const services = Array.from({ length: 300 }, (_, i) => `service-${i}`);
  const versions = services.map(() => 0);
  const publish = () => {
    const resources = services.flatMap((name, i) =>
      traffic(name)
        .timeout(1_000 + versions[i])
        .resources(),
    );
    return plane.publish({ text: JSON.stringify(resources), source: "burst", author: "x", reason: "" });
  };
  await publish();
  const lines = Array.from({ length: 40 }, (_, i) => {
    const held: { names: string[] } = { names: [] };
    const role = i === 0 ? "gateway" : "sidecar";
    const process = world.link({ process: `${role}-${i}`, role });
    const { applyResources } = process.policy;
    process.policy.applyResources = function watching(revision, resources, methods) {
      held.names = resources.map(({ metadata }) => metadata.name);
      applyResources.call(this, revision, resources, methods);
    };
    const used = i === 0 ? ["*"] : Array.from({ length: 5 }, (_, n) => `service-${(i * 7 + n * 11) % 300}`);
    return { ...process, held, used };
  });
  await Promise.all(lines.flatMap(({ link, used }) => used.map((name) => link.subscribe(name, 20_000))));
  let last = 0;
  for (let i = 0; i < 60; i++) {
    versions[(i * 13) % services.length]++;
    last = (await publish()).revision;
  }
  assert.equal(last, 61);
  await eventually(() => lines.every(({ policy }) => policy.revision === last), "the last revision everywhere", 20_000);
  for (const { held, used } of lines.slice(1)) assert.deepEqual(held.names.toSorted(), used.toSorted());
  assert.equal(lines[0].held.names.length, services.length);
});
