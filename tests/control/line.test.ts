import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { freePort } from "../../conformance/free-port.ts";
import { codecOf } from "../../src/contract/codec.ts";
import { type AttachRequestSchema, ServiceUpdateSchema } from "../../src/contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../../src/contract/runtime.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { Outbox } from "../../src/link/outbox.ts";
import type { ServiceContract } from "../../src/link/types.ts";
import { outcomeUnknown } from "../../src/registry/outcome-unknown.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { eventually, registrationOf, World } from "./world.ts";

const POLICY = `
apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: slow }
spec: { targetRefs: [{ kind: Service, name: alpha }], timeout: 3s }
`;

async function within(body: (world: World) => Promise<void>): Promise<void> {
  const world = new World();
  try {
    await body(world);
  } finally {
    await world.close();
  }
}

test("what one process registers, others learn: by service, by contract and by everything", () =>
  within(async (world) => {
    await world.startInMemory();
    const [server, byName, byContract, all] = [world.link(), world.link(), world.link(), world.link()];
    await byName.link.subscribe("alpha");
    await byContract.link.subscribe("grpc.health.v1.Health");
    await all.link.subscribe("*");
    assert.deepEqual(byName.ids("alpha"), []);
    const registered = await server.link.register(registrationOf("alpha"));
    await server.link.register(registrationOf("beta"));
    for (const { ids } of [byName, byContract, all]) await eventually(() => ids("alpha").length === 1, "alpha");
    await eventually(() => byContract.ids("beta").length === 1 && all.ids("beta").length === 1, "beta");
    assert.deepEqual(byName.ids("beta"), []);
    assert.deepEqual(byName.endpoints("alpha"), [{ ...registrationOf("alpha").endpoint, health: "healthy" }]);

    await registered.setHealth("draining", "stopping");
    await eventually(() => byName.endpoints("alpha")[0]?.health === "draining", "draining");
    await registered.release();
    await eventually(() => byName.ids("alpha").length === 0, "the release");
  }));

test("what is said of an endpoint while its registration is on its way counts", () =>
  within(async (world) => {
    const { port } = await world.start({ port: await freePort() });
    const [server, client] = [world.link(), world.link()];
    await client.link.subscribe("alpha");
    const registered = await server.link.register(registrationOf("alpha"));
    await world.plane?.stop();
    await eventually(() => !server.link.connected, "the loss");
    const drained = registered.setHealth("draining", "stopping");
    await world.start({ port });
    await drained;
    await eventually(() => client.endpoints("alpha")[0]?.health === "draining", "draining");
    await registered.release();
    await registered.setHealth("healthy", "too late");
    await eventually(() => client.ids("alpha").length === 0, "the release");
  }));

test("contracts reach those who watch them, at once and when they come", () =>
  within(async (world) => {
    await world.startInMemory();
    const server = world.link();
    const seen: (readonly ServiceContract[])[] = [];
    world.link().link.watchContracts((contracts) => seen.push(contracts));
    await server.link.register(registrationOf("alpha"));
    await eventually(() => seen.length === 1, "the contract");
    assert.deepEqual(seen[0], [
      { service: "alpha", contracts: ["grpc.health.v1.Health"], descriptors: registrationOf("alpha").descriptors },
    ]);
    const late: (readonly ServiceContract[])[] = [];
    world.link().link.watchContracts((contracts) => late.push(contracts));
    await eventually(() => late.length === 1, "the contract, later");
  }));

test("published resources reach every process, and what is wrong reaches none", () =>
  within(async (world) => {
    const plane = await world.startInMemory();
    const { policy, link, errors } = world.link();
    await link.subscribe("alpha");
    await plane.publish({ text: POLICY, source: "p.yaml", author: "ada", reason: "try" });
    await eventually(() => policy.revision === 1, "revision 1");
    const admin = world.admin();
    const again = await admin.publishRevision({
      resources: POLICY.replace("3s", "4s"),
      author: "bob",
      reason: "more",
      expectedRevision: 1n,
    });
    assert.equal(again.revision, 2n);
    await eventually(() => policy.revision === 2, "revision 2");
    await assert.rejects(admin.publishRevision({ resources: POLICY.replace("3s", "soon"), source: "p.yaml" }), {
      code: "invalid_argument",
    });
    await assert.rejects(admin.publishRevision({ resources: POLICY, expectedRevision: 1n }), {
      code: "aborted",
      reason: "STALE_REVISION",
    });
    const back = await admin.rollbackRevision({ revision: 1n, author: "ada" });
    assert.equal(back.revision, 3n);
    await eventually(() => policy.revision === 3, "revision 3");
    const { revisions } = await admin.listRevisions({});
    assert.deepEqual(
      revisions.map(({ revision, author }) => [revision, author]),
      [
        [3n, "ada"],
        [2n, "bob"],
        [1n, "ada"],
      ],
    );
    assert.deepEqual(errors, []);
  }));

test("who calls a service also follows the stand-by that its policy names", () =>
  within(async (world) => {
    await world.startInMemory();
    const [server, client] = [world.link(), world.link()];
    for (const name of ["alpha", "alpha-standby", "beta"]) await server.link.register(registrationOf(name));
    await client.link.subscribe("alpha");
    assert.deepEqual(client.ids("alpha-standby"), []);
    const yaml = POLICY.replace("timeout: 3s", "fallback: { service: alpha-standby }");
    await world.plane?.publish({ text: yaml, source: "p.yaml", author: "ada", reason: "stand-by" });
    await eventually(() => client.ids("alpha-standby").length === 1, "the stand-by");
    assert.deepEqual(client.ids("beta"), []);
  }));

test("a process that comes back says which version it knows, and is told what it missed alone", () =>
  within(async (world) => {
    await world.startInMemory();
    const server = world.link();
    for (const number of [1, 2, 3]) await server.link.register(registrationOf("alpha", number));
    const updates = codecOf(ServiceUpdateSchema);
    /** A line that subscribes with what is known, until `enough` says so of what it is told. */
    const attach = async (epoch: string, knownVersion: bigint, enough: (ids: Set<string>) => boolean) => {
      const outbox = new Outbox<MessageInitShape<typeof AttachRequestSchema>>();
      outbox.push({ message: { case: "hello", value: { process: "raw", epoch } } });
      const services = [{ name: "alpha", knownVersion }];
      outbox.push({ message: { case: "subscribe", value: { requestId: 1n, services } } });
      const told = { epoch: "", version: 0n, full: 0, ids: new Set<string>(), removed: [] as string[] };
      const abort = new AbortController();
      for await (const message of world.control().attach(outbox, { signal: abort.signal })) {
        told.epoch = message.welcome?.epoch ?? told.epoch;
        for (const bytes of message.services) {
          const { full, endpointVersion, changed, removed } = updates.decode(bytes, 0, bytes.byteLength);
          told.version = endpointVersion;
          if (full) told.full++;
          for (const { id } of changed) told.ids.add(id);
          for (const { id } of removed) told.removed.push(id);
        }
        if (message.acks.length > 0 && enough(told.ids)) break;
      }
      outbox.end();
      abort.abort();
      return told;
    };
    const first = await attach("", 0n, (ids) => ids.size === 3);
    assert.equal(first.full, 1);
    const fourth = await server.link.register(registrationOf("alpha", 4));
    await server.link.register(registrationOf("alpha", 5));
    await fourth.release();
    const again = await attach(first.epoch, first.version, () => true);
    assert.deepEqual([again.full, [...again.ids], again.removed], [0, ["alpha-4", "alpha-5"], ["alpha-4"]]);
    const same = await attach(first.epoch, again.version, () => true);
    assert.deepEqual([same.full, same.ids.size], [0, 0], "nothing is told twice");
    // What it knows was told by another run, or so long ago that nobody remembers: all of it.
    assert.equal((await attach("another", again.version, () => true)).full, 1);
    assert.equal((await attach(first.epoch, 1n, () => true)).full, 1);
  }));

test("the control plane is restarted: nobody forgets an endpoint, registrations and lines come back", () =>
  within(async (world) => {
    const { port } = await world.start({ port: await freePort() });
    const server = world.link();
    const client = world.link();
    await client.link.subscribe("alpha");
    await client.link.subscribe("*");
    await server.link.register(registrationOf("alpha"));
    await server.link.register(registrationOf("alpha", 2));
    await world.plane?.publish({ text: POLICY, source: "p.yaml", author: "ada", reason: "try" });
    await eventually(() => client.ids("alpha").length === 2 && client.policy.revision === 1, "the state");
    let least = 2;
    const looking = setInterval(() => (least = Math.min(least, client.ids("alpha").length)), 1);
    await world.plane?.stop();
    await eventually(() => !client.link.connected && !server.link.connected, "the loss of the line");
    assert.deepEqual(client.ids("alpha"), ["alpha-1", "alpha-2"]);
    await world.start({ port });
    await eventually(() => client.link.connected && server.link.connected, "the lines");
    // Longer than a lease: what was not registered again would end.
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    clearInterval(looking);
    assert.equal(least, 2, "an endpoint disappeared");
    assert.equal(client.policy.revision, 1);
    assert.equal(client.errors.filter(({ reason }) => reason === "LINE_DOWN").length, 1, "one report a loss");
    const { processes } = await world.admin().listProcesses({});
    assert.deepEqual(processes.flatMap(({ endpoints }) => endpoints).sort(), ["alpha-1", "alpha-2"]);
  }));

test("a process that goes without a word loses its lease", () =>
  within(async (world) => {
    await world.startInMemory({ defaultTtlMs: 300 });
    const client = world.link();
    await client.link.subscribe("alpha");
    const silent = world.control().attach(
      (async function* () {
        yield { message: { case: "hello" as const, value: { process: "silent" } } };
        const { endpoint, contracts, descriptors } = registrationOf("alpha");
        const value = {
          requestId: 1n,
          endpoint: { ...endpoint, protocol: 1 as const },
          contracts: [...contracts],
          descriptors: descriptors ?? new Uint8Array(),
        };
        yield { message: { case: "register" as const, value } };
        await new Promise(() => {});
      })(),
    );
    void (async () => {
      for await (const _ of silent);
    })().catch(() => {});
    await eventually(() => client.ids("alpha").length === 1, "the registration");
    await eventually(() => client.ids("alpha").length === 0, "the end of the lease", 2_000);
  }));

test("of two processes with one id the later has it, and the earlier is told instead of taking it back", () =>
  within(async (world) => {
    await world.startInMemory({ defaultTtlMs: 300 });
    const [first, second] = [world.link(), world.link()];
    await first.link.register(registrationOf("alpha", 1, { port: 7_001 }));
    await second.link.register(registrationOf("alpha", 1, { port: 7_002 }));
    await eventually(() => first.errors.some(({ reason }) => reason === "LEASE_REPLACED"), "the report");
    const client = world.link();
    await client.link.subscribe("alpha");
    await new Promise((resolve) => setTimeout(resolve, 700));
    assert.deepEqual(
      client.endpoints("alpha").map(({ port }) => port),
      [7_002],
    );
    assert.deepEqual(second.errors, []);
  }));

test("a process that starts while the control plane is away begins with the state of last time", () =>
  within(async (world) => {
    const plane = await world.startInMemory();
    const stateFile = join(world.folder, "state.json");
    const before = world.link({ stateFile });
    await world.link().link.register(registrationOf("alpha"));
    await plane.publish({ text: POLICY, source: "p.yaml", author: "ada", reason: "try" });
    await before.link.subscribe("alpha");
    await eventually(() => before.policy.revision === 1, "the state");
    await before.link.close();
    const { address } = plane;
    await plane.stop();
    const after = world.link({ stateFile, address });
    await after.link.subscribe("alpha");
    assert.equal(after.link.connected, false);
    assert.deepEqual(after.ids("alpha"), ["alpha-1"]);
    assert.equal(after.policy.revision, 1);
    await assert.rejects(world.link({ address }).link.subscribe("alpha", 100), {
      code: "unavailable",
      reason: "CONTROL_UNREACHABLE",
    });
  }));

test("a registration of which nobody knows what became of it is made again", () =>
  within(async (world) => {
    const memory = createMemoryRegistry();
    let unknown = 2;
    const register: Registry["register"] = (endpoint, ttlMs) =>
      unknown-- > 0 ? Promise.reject(outcomeUnknown(endpoint.id)) : memory.register(endpoint, ttlMs);
    const registry = new Proxy(memory, {
      get: (target, name) => {
        const found: unknown = Reflect.get(target, name);
        if (name === "register") return register;
        return typeof found === "function" ? found.bind(target) : found;
      },
    });
    await world.startInMemory({ registry });
    const { link } = world.link();
    await link.register(registrationOf("alpha"));
    assert.equal((await memory.query(["alpha"])).endpoints.length, 1);
  }));

test("a registration that is refused says why", () =>
  within(async (world) => {
    await world.startInMemory({ limits: { maxRegistrations: 2 } });
    const { link } = world.link();
    await assert.rejects(link.register(registrationOf("alpha", 1, { service: "Alpha" })), {
      code: "invalid_argument",
      place: { field: "service" },
    });
    await assert.rejects(link.register({ ...registrationOf("alpha"), contracts: ["no.Such"] }), {
      reason: "BAD_DESCRIPTORS",
    });
    await link.register(registrationOf("alpha", 1));
    await assert.rejects(link.register(registrationOf("alpha", 1)), { reason: "REGISTERED_TWICE" });
    await link.register(registrationOf("alpha", 2));
    await assert.rejects(link.register(registrationOf("alpha", 3)), {
      code: "resource_exhausted",
      reason: "TOO_MANY_REGISTRATIONS",
    });
    await assert.rejects(link.subscribe("No Such Name"), { code: "invalid_argument" });
  }));

test("Admin shows services, processes, checks and load", () =>
  within(async (world) => {
    await world.startInMemory({ defaultTtlMs: 300 });
    const { link } = world.link({
      process: "orders",
      load: () => [{ id: "alpha-1", inFlight: 3, callsPerSecond: 12.5 }],
    });
    await link.register(registrationOf("alpha"));
    const admin = world.admin();
    await eventually(
      async () => (await admin.listServices({})).services[0]?.endpoints[0]?.load?.inFlight === 3,
      "the load",
    );
    const { services } = await admin.listServices({ services: ["alpha"] });
    assert.deepEqual(services[0].contracts, ["grpc.health.v1.Health"]);
    assert.match(services[0].endpoints[0].process, /^orders\//);
    assert.equal(services[0].endpoints[0].check, "ttl");
    await assert.rejects(admin.listServices({ services: ["alhpa"] }), { code: "not_found", message: /alpha/ });
    const status = await admin.getStatus({});
    assert.deepEqual([status.services, status.endpoints, status.processes], [1, 1, 1]);
    assert.equal((await admin.listContracts({})).contracts.length, 1);
  }));

test("a service that has left the system is forgotten at the next start, with its contract", () =>
  within(async (world) => {
    await world.start();
    const { link } = world.link();
    const gone = await link.register(registrationOf("gone"));
    await link.register(registrationOf("stays"));
    await gone.release();
    const names = async () => (await world.admin().listContracts({})).contracts.map(({ service }) => service).sort();
    assert.deepEqual(await names(), ["gone", "stays"]);
    await world.plane?.stop();
    await world.start();
    assert.deepEqual(await names(), ["stays"]);
  }));

test("the port and the data folder can be used once, and a failed start leaves nothing behind", () =>
  within(async (world) => {
    const { port } = await world.start();
    await assert.rejects(world.start(), { reason: "DATABASE_IN_USE" });
    const other = new World();
    await assert.rejects(other.start({ port, registry: createMemoryRegistry() }), { reason: "PORT_IN_USE" });
    await other.start(); // the folder was left free
    await other.close();
  }));
