import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { createDirectClient } from "../../src/call/direct.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import { type ControlPlane, startControlPlane } from "../../src/control/control-plane.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import { WeftError } from "../../src/core/errors.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { createLink } from "../../src/link/link.ts";
import { traffic } from "../../src/policy/builders.ts";
import { createPolicyRuntime } from "../../src/policy/snapshot/create-runtime.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { ANY, type KeyValue, type KeyValueItem } from "../../src/settings/key-value.ts";
import { MemoryKeyValue } from "../../src/settings/memory-key-value.ts";
import { eventually, registrationOf, World } from "./world.ts";

/** A store as one control plane reaches it, or does not: then it hears of no change, either. */
class Reached {
  away = false;
  readonly #store: KeyValue;

  constructor(store: KeyValue) {
    this.#store = store;
  }

  get view(): KeyValue {
    return new Proxy(this.#store, {
      get: (target, name) => {
        if (name === "close") return async () => {};
        if (name === "watch")
          return (key: string, listener: (item: KeyValueItem | null) => void) =>
            target.watch(key, (item) => {
              if (!this.away) listener(item);
            });
        const value = Reflect.get(target, name, target) as (...args: unknown[]) => Promise<unknown>;
        return async (...args: unknown[]) => {
          if (this.away) throw new WeftError("unavailable", "the store is away", { reason: "STORE_AWAY" });
          return value.apply(target, args);
        };
      },
    });
  }
}

/** A registry whose place is away, as far as it says. */
function aged(registry: Registry): { registry: Registry; staleMs: number } {
  const made = { registry, staleMs: 0 };
  made.registry = new Proxy(registry, {
    get(target, name) {
      if (name === "query")
        return async (services: readonly string[]) => ({ ...(await target.query(services)), staleMs: made.staleMs });
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return made;
}

const start = (store: KeyValue, registry: Registry = createMemoryRegistry()) =>
  startControlPlane({ registry, store, defaultTtlMs: 3_000, health: { defaults: { kind: "ttl" } } });

const publish = (plane: ControlPlane, timeout: string) => {
  const text = JSON.stringify(traffic("orders").timeout(timeout).resources());
  return plane.publish({ text, source: "test", author: "ada", reason: timeout });
};

async function setMaxItems(plane: ControlPlane, maxItems: number): Promise<void> {
  const { client, close } = createDirectClient(Admin, plane.address);
  const value = { key: "maxItems", json: JSON.stringify(maxItems) };
  await client.publishSettings({ changes: [{ namespace: "orders", change: { case: "set", value } }], author: "ada" });
  await close();
}

/** A process that is attached to the first of these control planes, and knows the second. */
function attach(world: World, first: ControlPlane, second: ControlPlane) {
  const policy = createPolicyRuntime();
  const revisions: number[] = [];
  const { applyResources } = policy;
  policy.applyResources = (revision, ...rest) => {
    applyResources.call(policy, revision, ...rest);
    // Other methods bring the same revision again.
    if (revisions.at(-1) !== policy.revision) revisions.push(policy.revision);
  };
  const shuffle = [0.99];
  const link = createLink({
    address: `${first.address},${second.address}`,
    policy,
    backOff: { baseMs: 20, maxMs: 200 },
    random: { next: () => shuffle.pop() ?? 0 },
  });
  world.onClose(() => link.close());
  const settings: number[] = [];
  const ids = (service: string) =>
    policy
      .describe(service, 0)
      .map(({ endpoint }: { endpoint: Endpoint }) => endpoint.id)
      .sort();
  return {
    link,
    policy,
    revisions,
    settings,
    ids,
    follow: () =>
      link.settings.follow(
        {
          namespace: "orders",
          schema: "",
          message: "",
          take: async ({ values }) => {
            settings.push(Number(values.maxItems));
            return "";
          },
        },
        5_000,
      ),
  };
}

async function attachedTo(plane: ControlPlane): Promise<void> {
  const { client, close } = createDirectClient(Admin, plane.address);
  await eventually(async () => (await client.listProcesses({})).processes.length === 1, "the process to be there");
  await close();
}

function worldOf(t: TestContext): World {
  const world = new World();
  t.after(() => world.close());
  return world;
}

test("who moves to a control plane that has not heard of the newest revision keeps it, and its settings", async (t) => {
  const world = worldOf(t);
  const store = new MemoryKeyValue();
  const reached = new Reached(store);
  const first = await start(new Reached(store).view);
  world.onClose(() => first.stop());
  await publish(first, "1s");
  await setMaxItems(first, 1);
  const second = await start(reached.view);
  world.onClose(() => second.stop());
  const process = attach(world, first, second);
  await process.link.subscribe("orders");
  await process.follow();
  await eventually(() => process.policy.revision === 2, "what is current");
  reached.away = true;
  await publish(first, "2s");
  await setMaxItems(first, 2);
  await eventually(() => process.policy.revision === 4 && process.settings.length === 2, "the newest");
  await first.stop();
  await attachedTo(second);
  assert.equal(second.revision, 2, "it has heard of nothing");
  // What it is told at first has arrived when it is told of a service.
  await process.link.subscribe("payments");
  assert.deepEqual([process.policy.revision, process.settings], [4, process.settings.slice(0, 2)]);
  reached.away = false;
  await eventually(() => second.revision === 4, "the second to catch up");
  await publish(second, "3s");
  await setMaxItems(second, 3);
  await eventually(() => process.policy.revision === 6 && process.settings.at(-1) === 3, "the next");
  assert.deepEqual(
    process.revisions,
    [...process.revisions].sort((a, b) => a - b),
    "never an older one",
  );
  assert.deepEqual(process.settings, [1, 2, 2, 3].slice(process.settings.length === 3 ? 1 : 0), "nor older settings");
});

test("a control plane with other data is believed at once, and so is a store that was set back", async (t) => {
  const world = worldOf(t);
  const store = new MemoryKeyValue();
  const first = await start(new Reached(store).view);
  world.onClose(() => first.stop());
  await publish(first, "1s");
  const setBack = new MemoryKeyValue();
  for (const { key, value } of await store.list("revisions")) await setBack.put(key, value, ANY);
  for (const timeout of ["2s", "3s"]) await publish(first, timeout);
  const other = await start(new MemoryKeyValue());
  await publish(other, "4s");
  const processes = [];
  for (const second of [other, await start(setBack)]) {
    world.onClose(() => second.stop());
    const process = attach(world, first, second);
    await process.link.subscribe("orders");
    await eventually(() => process.policy.revision === 3, "what is current");
    processes.push(process);
  }
  await first.stop();
  for (const process of processes) await eventually(() => process.policy.revision === 1, "what the second one says");
});

test("no endpoint is lost to a control plane whose view of the registry is old, and what is gone goes when it is not", async (t) => {
  const world = worldOf(t);
  const [one, two] = [createMemoryRegistry(), aged(createMemoryRegistry())];
  const store = new MemoryKeyValue();
  const [first, second] = [
    await start(new Reached(store).view, one),
    await start(new Reached(store).view, two.registry),
  ];
  for (const plane of [first, second]) world.onClose(() => plane.stop());
  const kept = world.link({ address: first.address });
  await kept.link.register(registrationOf("orders", 1));
  await kept.link.register(registrationOf("payments", 1));
  const process = attach(world, first, second);
  const everything = attach(world, first, second);
  await process.link.subscribe("orders");
  await everything.link.subscribe("*");
  await eventually(
    () => everything.ids("orders").length === 1 && everything.ids("payments").length === 1,
    "all there is",
  );
  two.staleMs = 1;
  const { client, close } = createDirectClient(Admin, second.address);
  world.onClose(close);
  await eventually(async () => (await client.getStatus({})).staleMs > 0n, "the view to be old");
  await new Promise((resolve) => setTimeout(resolve, 600)); // looked at twice a second
  await first.stop();
  await eventually(async () => (await client.listProcesses({})).processes.length === 2, "both to be there");
  const more = world.link({ address: second.address });
  await more.link.register(registrationOf("orders", 2));
  for (const { ids } of [process, everything])
    await eventually(() => ids("orders").join() === "orders-1,orders-2", "what is known, and what is new");
  assert.deepEqual(everything.ids("payments"), ["payments-1"]);
  two.staleMs = 0;
  for (const { ids } of [process, everything])
    await eventually(() => ids("orders").join() === "orders-2", "what is there");
  await eventually(() => everything.ids("payments").length === 0, "what is gone to go");
});
