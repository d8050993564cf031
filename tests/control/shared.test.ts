import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { createDirectClient, type DirectClient } from "../../src/call/direct.ts";
import { Access, AccessRole } from "../../src/contract/gen/weft/control/v1/access.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import { Identity } from "../../src/contract/gen/weft/control/v1/identity.ts";
import { type ControlPlane, startControlPlane } from "../../src/control/control-plane.ts";
import { toWeftError } from "../../src/core/errors.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { openIdentity } from "../../src/link/identity-line.ts";
import { traffic } from "../../src/policy/builders.ts";
import { http, TestCall } from "../../src/policy/machine/call.case.ts";
import type { KeyValue } from "../../src/settings/key-value.ts";
import { MemoryKeyValue } from "../../src/settings/memory-key-value.ts";
import { eventually, type Process, registrationOf, World } from "./world.ts";

const OPERATOR = "the operator's secret of this test";
const operator = { metadata: { authorization: `Bearer ${OPERATOR}` } };

/** What one control plane closes others go on with. */
function lent<T extends { close(): Promise<void> }>(shared: T): T {
  return new Proxy(shared, {
    get(target, name) {
      if (name === "close") return async () => {};
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

interface Shared {
  readonly world: World;
  readonly planes: ControlPlane[];
  admin(n: number): DirectClient<typeof Admin>["client"];
}

async function several(t: TestContext, count: number, kind: "ttl" | "tcp" = "ttl"): Promise<Shared> {
  const world = new World();
  const registry = createMemoryRegistry();
  const store: KeyValue = new MemoryKeyValue();
  const planes: ControlPlane[] = [];
  t.after(() => world.close());
  for (let n = 0; n < count; n++) {
    const plane = await startControlPlane({
      registry: lent(registry),
      store: lent(store),
      shared: true,
      system: "shop",
      meetEveryMs: 200,
      defaultTtlMs: 3_000,
      health: { defaults: { kind } },
      identity: { operatorToken: OPERATOR },
    });
    world.onClose(() => plane.stop());
    planes.push(plane);
  }
  const admins = planes.map(({ address }) => createDirectClient(Admin, address));
  for (const admin of admins) world.onClose(() => admin.close());
  const admin = (n: number) => admins[n].client;
  await eventually(
    async () => {
      const all = await Promise.all(planes.map((_, n) => admin(n).getStatus({})));
      return all.every(
        ({ controlPlanes }) => controlPlanes.length === count && controlPlanes.some(({ leads }) => leads),
      );
    },
    "control planes that know each other",
    10_000,
  );
  return { world, planes, admin };
}

test("the status names all control planes and who leads, over gRPC and REST", async (t) => {
  const { planes, admin } = await several(t, 2);
  await eventually(async () => (await admin(0).getStatus({})).controlPlanes.length === 2, "both");
  const { controlPlanes } = await admin(0).getStatus({});
  assert.deepEqual(controlPlanes.map(({ address }) => address).sort(), planes.map(({ address }) => address).sort());
  const answer = await fetch(`http://${planes[0].address}/v1/status`);
  assert.equal(answer.status, 200);
  const told = (await answer.json()) as { controlPlanes: { address: string; leads?: boolean }[] };
  assert.equal(told.controlPlanes.length, 2);
});

test("whichever control plane is asked answers for all: processes, topology, loads, decisions, delivery", async (t) => {
  const { world, planes, admin } = await several(t, 2);
  const processes = planes.map(({ address }, n) =>
    world.link({ address, process: `orders-${n}`, role: "service", service: "orders" }),
  );
  for (const [n, { link }] of processes.entries()) await link.register(registrationOf("orders", n));
  for (const { link } of processes) await link.subscribe("orders");
  for (const n of [0, 1]) {
    await eventually(() => processes[n].ids("orders").length === 2, "both endpoints");
    const { processes: listed, silentControlPlanes } = await admin(n).listProcesses({});
    assert.deepEqual(listed.map(({ process }) => process.split("/")[0]).sort(), ["orders-0", "orders-1"]);
    assert.deepEqual(
      new Set(listed.map(({ controlPlane }) => controlPlane)),
      new Set(planes.map(({ address }) => address)),
    );
    assert.deepEqual(silentControlPlanes, []);
    const topology = await admin(n).getTopology({ probeTimeoutMs: 500 });
    assert.equal(topology.planes.length, 2);
    const [{ endpoints }] = (await admin(n).listServices({ services: ["orders"] })).services;
    assert.ok(
      endpoints.every(({ process }) => process !== ""),
      "who holds the lease, wherever it is attached",
    );
    assert.equal((await admin(n).explainCall({ requestId: "none" })).asked, 2);
    assert.equal((await admin(n).getStatus({})).processes, 2);
  }
  const policy = traffic("orders").timeout("1s").resources()[0];
  const published = await admin(0).publishRevision({ resources: JSON.stringify([policy]), waitMs: 5_000 });
  assert.deepEqual(
    { ...published.delivery, $typeName: "" },
    { $typeName: "", planes: 2, applied: 2, refused: [], waiting: [] },
  );
  assert.equal(planes[1].revision, Number(published.revision));
});

test("one alone checks health, what it finds all know, and another one goes on when it stops", async (t) => {
  const { world, planes, admin } = await several(t, 2, "tcp");
  const refused = await closedPort();
  for (const [n, { address }] of planes.entries()) {
    const { link } = world.link({ address });
    await link.register(registrationOf("orders", n, { port: refused }));
  }
  const states = async (n: number) => {
    const [{ endpoints }] = (await admin(n).listServices({ services: ["orders"] })).services;
    return endpoints.map(({ endpoint, check, checkMessage }) => `${endpoint?.health} ${check} ${checkMessage !== ""}`);
  };
  for (const n of [0, 1])
    await eventually(async () => (await states(n)).every((state) => state === "2 tcp true"), "findings at both");
  const leader = (await admin(0).getStatus({})).controlPlanes[0].leads ? 0 : 1;
  await planes[leader].stop();
  const other = 1 - leader;
  await eventually(
    async () => (await admin(other).getStatus({})).controlPlanes[0].leads,
    "the other one to lead",
    8_000,
  );
  const { link } = world.link({ address: planes[other].address });
  await link.register(registrationOf("payments", 1, { port: refused }));
  await eventually(async () => {
    const [{ endpoints }] = (await admin(other).listServices({ services: ["payments"] })).services;
    return endpoints[0].endpoint?.health === 2;
  }, "what the other one finds");
});

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

test("tokens, join tokens and the authority are those of all", async (t) => {
  const { planes, admin } = await several(t, 2);
  const [first, second] = planes.map(({ address }) => ({
    identity: createDirectClient(Identity, address),
    access: createDirectClient(Access, address),
  }));
  assert.equal(planes[0].pin, planes[1].pin);
  const { token } = await first.identity.client.createJoinToken({ service: "orders" }, operator);
  const line = await openIdentity({ address: planes[1].address, token });
  assert.equal(line.id, "spiffe://shop/orders");
  const again = openIdentity({ address: planes[0].address, token });
  await assert.rejects(again, (thrown) => toWeftError(thrown).reason === "JOIN_TOKEN_USED", "once at all of them");
  const made = await second.access.client.createAdminToken({ name: "ci", role: AccessRole.PUBLISHER }, operator);
  const shown = { metadata: { authorization: `Bearer ${made.token}` } };
  await admin(0).publishRevision({ resources: "[]", reason: "by a token that the other one made" }, shown);
  await second.identity.client.rotateAuthority({}, operator);
  await eventually(() => planes[0].pin === planes[1].pin && planes[0].pin.includes(","), "both roots at both");
  const { entries } = await first.access.client.listAudit({}, operator);
  assert.deepEqual(entries.map(({ action }) => action).sort(), [
    "Access/CreateAdminToken",
    "Admin/PublishRevision",
    "Identity/CreateJoinToken",
    "Identity/RotateAuthority",
  ]);
  await line.close();
  for (const { identity, access } of [first, second]) {
    await identity.close();
    await access.close();
  }
});

/** One call of a process, answered with `status`; what the caller got. */
function call({ policy }: Process, status: number): string {
  const made = new TestCall(policy, performance.now()).begin(http("POST", "/pay"), {
    service: "payments",
    place: "client",
  });
  if (!made.call.ended) made.head(1, status);
  const { reason } = made.call.decision.outcome;
  policy.release(made.call);
  return reason;
}

test("a breaker of the fleet opens by what processes at different control planes see", async (t) => {
  const { world, planes, admin } = await several(t, 2);
  const policy = traffic("payments")
    .retry(0)
    .breaker({ scope: "fleet", consecutiveFailures: 5, sleep: "1s", window: "10s" });
  await admin(0).publishRevision({ resources: JSON.stringify(policy.resources()) });
  const processes = [0, 1, 1].map((at, n) => world.link({ address: planes[at].address, process: `orders-${n}` }));
  await processes[0].link.register(registrationOf("payments"));
  for (const { link } of processes) await link.subscribe("payments");
  const [bad, second, third] = processes;
  for (const process of processes) assert.equal(call(process, 200), "");
  await eventually(
    () => {
      for (const process of [bad, second]) call(process, 503);
      return call(third, 200) === "BREAKER_OPEN";
    },
    "the third to hear of it",
    8_000,
  );
});

test("without the operator's token, or with another one, a control plane does not join others", async () => {
  const store = new MemoryKeyValue();
  const start = (operatorToken: string) =>
    startControlPlane({
      registry: createMemoryRegistry(),
      store: lent(store),
      shared: true,
      identity: { operatorToken },
    });
  const reason = (work: Promise<unknown>) =>
    work.then(
      () => "none",
      (thrown) => toWeftError(thrown).reason,
    );
  assert.equal(await reason(start("")), "NO_OPERATOR_TOKEN");
  const first = await start(OPERATOR);
  assert.equal(await reason(start("another secret of an operator")), "WRONG_OPERATOR_TOKEN");
  await first.stop();
});

test("a control plane with a folder of its own makes the operator's token, which others are given", async (t) => {
  const world = new World();
  t.after(() => world.close());
  const store = new MemoryKeyValue();
  const start = (dataDir: string, operatorToken = "") =>
    startControlPlane({
      registry: createMemoryRegistry(),
      store: lent(store),
      shared: true,
      dataDir,
      identity: { operatorToken },
    });
  const first = await start(world.folder);
  const second = await start("", readFileSync(join(world.folder, "operator-token"), "utf8").trim());
  assert.equal(second.pin, first.pin);
  await second.stop();
  await first.stop();
});
