import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { endpointOf, registryCases } from "../../registry/registry.case.ts";
import { createMemoryRegistry, MemoryRegistry } from "./memory-registry.ts";

registryCases("memory", async () => {
  const clock = new VirtualClock();
  return { open: async (mode) => createMemoryRegistry({ clock, mode }), pass: async (ms) => clock.advance(ms) };
});

test("changes of one turn arrive as one delta", async () => {
  const registry = createMemoryRegistry({ clock: new VirtualClock() });
  const deltas: number[] = [];
  registry.watch(["alpha"], (delta) => deltas.push(delta.changed.length));
  await null;
  await Promise.all(Array.from({ length: 50 }, (_, i) => registry.register(endpointOf("alpha", i), 1_000)));
  assert.deepEqual(deltas, [0, 50]);
  await registry.close();
});

test("a consistent answer waits until what is in it is durable", async () => {
  let finish: (() => void) | undefined;
  const write = (): Promise<void> => new Promise((resolve) => (finish = resolve));
  const journal = { write, close: async () => {} };
  const registry = new MemoryRegistry({ clock: new VirtualClock(), mode: "consistent", journal });
  const registered = registry.register(endpointOf("alpha", 1), 1_000);
  let answered = false;
  const asked = registry.query(["alpha"]).then(({ endpoints }) => {
    answered = true;
    return endpoints;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(answered, false);
  finish?.();
  await registered;
  assert.equal((await asked).length, 1);
  await registry.close();
});

test("a registration resolves when the journal has it, and fails with the journal", async () => {
  let finish: (() => void) | undefined;
  let fail = false;
  const registry = new MemoryRegistry({
    clock: new VirtualClock(),
    journal: {
      write: () => (fail ? Promise.reject(new Error("disk full")) : new Promise((resolve) => (finish = resolve))),
      close: async () => {},
    },
  });
  let done = false;
  const registered = registry.register(endpointOf("alpha", 1), 1_000).then(() => (done = true));
  registry.watch(["alpha"], () => {}); // its full state publishes early; the registration must still wait
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(done, false);
  finish?.();
  await registered;
  fail = true;
  await assert.rejects(registry.register(endpointOf("alpha", 2), 1_000), /disk full/);
  await registry.close();
});
