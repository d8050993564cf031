import assert from "node:assert/strict";
import { test } from "node:test";
import { codecOf } from "../../src/contract/codec.ts";
import { ServiceUpdateSchema } from "../../src/contract/gen/weft/control/v1/control.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import { eventually, World } from "./world.ts";

const STREAMS = 200;
const SERVICES = 10;

test("2,000 subscriptions over 200 streams: readers keep up, those who stop reading are coalesced, and all end with the same state", async () => {
  const world = new World();
  try {
    const registry = createMemoryRegistry();
    await world.startInMemory({ registry, defaultTtlMs: 60_000 });
    // Those who stop share a connection, whose window they fill; the others have their own, as processes do.
    const clients = [world.control(), world.control()];
    const names = Array.from({ length: SERVICES }, (_, i) => `service-${i}`);
    const known = Array.from({ length: STREAMS }, () => new Map<string, Map<string, number>>());
    const stopped = { reading: true, wake: () => {} };
    let wakeAll: Promise<void> = new Promise((resolve) => (stopped.wake = resolve));
    const acknowledged = new Set<number>();
    let received = 0;
    const abort = new AbortController();
    for (const [index, services] of known.entries()) {
      const stream = clients[index % 2].attach(
        (async function* () {
          yield { message: { case: "hello" as const, value: { process: `reader-${index}` } } };
          yield {
            message: {
              case: "subscribe" as const,
              value: { requestId: 1n, services: names.map((name) => ({ name })) },
            },
          };
          await new Promise<void>((resolve) => abort.signal.addEventListener("abort", () => resolve()));
        })(),
        { signal: abort.signal },
      );
      void (async () => {
        for await (const message of stream) {
          received++;
          if (message.acks.length > 0) acknowledged.add(index);
          for (const bytes of message.services) {
            const update = codecOf(ServiceUpdateSchema).decode(bytes, 0, bytes.byteLength);
            if (update.full) services.set(update.service, new Map());
            const endpoints = services.get(update.service) ?? new Map<string, number>();
            services.set(update.service, endpoints);
            for (const { id } of update.removed) endpoints.delete(id);
            for (const { id, port } of update.changed) endpoints.set(id, port);
          }
          if (!stopped.reading && index % 2 === 0) await wakeAll;
        }
      })().catch(() => {});
    }
    await eventually(() => acknowledged.size === STREAMS, "all subscriptions", 20_000);

    // Half of the readers stop; everything changes many times over.
    stopped.reading = false;
    received = 0;
    const rounds = 300;
    for (let round = 1; round <= rounds; round++) {
      await Promise.all(
        names.map((name) => registry.register(endpointOf(name, 1 + (round % 3), { port: round }), 60_000)),
      );
      if (round % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const wanted = await registry.query(["*"]);
    const current = (services: Map<string, Map<string, number>>) =>
      wanted.endpoints.every(({ id, service, port }) => services.get(service)?.get(id) === port);
    await eventually(
      () => known.every((services, index) => index % 2 === 0 || current(services)),
      "the readers that read",
      20_000,
    );
    assert.ok(received < STREAMS * rounds, `${received} messages: nothing was coalesced`);
    stopped.reading = true;
    stopped.wake();
    wakeAll = Promise.resolve();
    await eventually(() => known.every(current), "the readers that had stopped", 20_000);
    abort.abort();
  } finally {
    await world.close();
  }
});
