import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsulView } from "../../src/control/consul-api/consul-view.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import type { WeftError } from "../../src/core/errors.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";

test("one machine does not take all places of queries that wait", async () => {
  const clock = new VirtualClock();
  const registry = createMemoryRegistry({ clock });
  const view = new ConsulView({ registry, clock, maxWaiting: 8 });
  await view.start();
  const waiting: Promise<void>[] = [];
  const stops: (() => void)[] = [];
  const wait = (source: string): boolean => {
    try {
      const known = view.indexOf({ kind: "all" });
      waiting.push(view.wait({ kind: "all" }, known, 60_000, (stop) => stops.push(stop), source));
      return true;
    } catch (thrown) {
      assert.equal((thrown as WeftError).reason, "TOO_MANY_WAITING");
      return false;
    }
  };
  const sources = ["a", "a", "a", "b", "", "", "", "", "", ""];
  assert.deepEqual(sources.map(wait), [true, true, false, true, true, true, true, true, true, false]);
  stops[0]();
  assert.equal(wait("a"), true, "who leaves makes room");
  clock.advance(60_000);
  await Promise.all(waiting);
  assert.equal(wait("a"), true);
  view.close();
  await registry.close();
});
