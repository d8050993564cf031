import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";
import type { Registry } from "../src/registry/registry.ts";
import type { KeyValue } from "../src/settings/key-value.ts";
import { MemoryKeyValue } from "../src/settings/memory-key-value.ts";
import { checkLinearizable } from "./linearizable.ts";
import { wait } from "./registry-plane.ts";

/** In turns, so that clients get as many however long this process stands still. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 100; turn++) await wait(2);
};
const short = { hurt: turns, pauseMs: 5, seed: 1 };

test("what is kept in memory is in order", async () => {
  const store = new MemoryKeyValue();
  const registry = createMemoryRegistry({ mode: "consistent" });
  const [openKeyValue, openRegistry] = [async () => store, async () => registry];
  await checkLinearizable({ name: "memory", openKeyValue, openRegistry, ...short });
});

test("a store that answers from what it read before is found out", async () => {
  const store = new MemoryKeyValue();
  const openKeyValue = async (): Promise<KeyValue> => {
    const seen = new Map<string, ReturnType<KeyValue["get"]>>();
    const get = (key: string): ReturnType<KeyValue["get"]> => {
      if (!seen.has(key)) seen.set(key, store.get(key));
      return seen.get(key) ?? store.get(key);
    };
    const stale: KeyValue = Object.create(store);
    stale.get = get;
    stale.put = (key, value, expected) => store.put(key, value, expected);
    stale.delete = (key, expected) => store.delete(key, expected);
    stale.close = () => store.close();
    return stale;
  };
  await assert.rejects(checkLinearizable({ name: "stale", openKeyValue, ...short }), /has no place/);
});

test("a registry that forgets what it acknowledged is found out", async () => {
  const registry = createMemoryRegistry({ mode: "consistent" });
  let asked = 0;
  const openRegistry = async (): Promise<Registry> => ({
    mode: "consistent",
    register: (endpoint, ttlMs) => registry.register(endpoint, ttlMs),
    query: async (services) => {
      const list = await registry.query(services);
      return asked++ % 10 === 9 ? { ...list, endpoints: [] } : list;
    },
    watch: (services, listener) => registry.watch(services, listener),
    setHealth: (id, health, reason, by) => registry.setHealth(id, health, reason, by),
    close: () => registry.close(),
  });
  await assert.rejects(checkLinearizable({ name: "forgetful", openRegistry, ...short }), /has no place/);
});
