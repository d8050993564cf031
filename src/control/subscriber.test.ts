import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codecOf } from "../contract/codec.ts";
import { ServiceUpdateSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { endpointOf } from "../registry/registry.case.ts";
import type { EndpointDelta, Registry } from "../registry/registry.ts";
import { Catalog } from "./catalog.ts";
import { Subscriber } from "./subscriber.ts";

/** A registry whose deltas the test makes. */
async function catalogWith(): Promise<{ catalog: Catalog; tell: (changed: Endpoint[], removed?: Endpoint[]) => void }> {
  let listener: (delta: EndpointDelta) => void = () => {};
  let version = 0;
  const registry = {
    watch(_: readonly string[], to: (delta: EndpointDelta) => void) {
      listener = to;
      queueMicrotask(() => to({ endpointVersion: version, full: true, changed: [], removed: [] }));
      return { close() {} };
    },
  } as unknown as Registry;
  const catalog = new Catalog(registry);
  await catalog.start();
  return {
    catalog,
    tell(changed, removed = []) {
      listener({
        endpointVersion: ++version,
        full: false,
        changed,
        removed: removed.map(({ id, service }) => ({ id, service, reason: "test" })),
      });
    },
  };
}

/** What a process makes of the messages that it takes. */
class Reader {
  readonly subscriber: Subscriber;
  readonly known = new Map<string, Map<string, number>>();
  readonly acks: bigint[] = [];
  bytes = 0;
  wakes = 0;

  constructor() {
    this.subscriber = new Subscriber(() => this.wakes++);
  }

  takeOne(): boolean {
    const message = this.subscriber.take();
    if (message === null) return false;
    for (const bytes of message.services ?? []) {
      this.bytes += bytes.byteLength;
      const update = codecOf(ServiceUpdateSchema).decode(bytes, 0, bytes.byteLength);
      let service = this.known.get(update.service);
      if (service === undefined) this.known.set(update.service, (service = new Map()));
      if (update.full) service.clear();
      for (const { id } of update.removed) service.delete(id);
      for (const { id, port } of update.changed) service.set(id, port);
    }
    for (const ack of message.acks ?? []) this.acks.push(ack.requestId ?? 0n);
    return true;
  }

  takeAll(): void {
    while (this.takeOne());
  }

  state(): Record<string, [string, number][]> {
    const entries = [...this.known].filter(([, endpoints]) => endpoints.size > 0);
    return Object.fromEntries(entries.sort().map(([name, endpoints]) => [name, [...endpoints].sort()]));
  }
}

function stateOf(catalog: Catalog, services: readonly string[]): Record<string, [string, number][]> {
  const states = catalog
    .services()
    .filter(({ name, endpoints }) => endpoints.size > 0 && (services.includes("*") || services.includes(name)));
  return Object.fromEntries(
    states
      .map(({ name, endpoints }): [string, [string, number][]] => [
        name,
        [...endpoints.values()].map(({ id, port }): [string, number] => [id, port]).sort(),
      ])
      .sort(),
  );
}

const steps = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant("put" as const),
        service: fc.nat(3),
        number: fc.nat(5),
        port: fc.integer({ min: 1, max: 60_000 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("remove" as const), service: fc.nat(3), number: fc.nat(5) }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("take" as const), reader: fc.nat(3) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("subscribe" as const), reader: fc.nat(3), service: fc.nat(4) }),
    },
  ),
  { maxLength: 200 },
);

test("S1: whatever is subscribed when, and however late it is taken, a reader ends with the catalog's state", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      const { catalog, tell } = await catalogWith();
      const readers = Array.from({ length: 4 }, () => ({ reader: new Reader(), services: new Set<string>() }));
      const live = new Map<string, Endpoint>();
      for (const step of list) {
        if (step.kind === "put") {
          const endpoint = endpointOf(`s${step.service}`, step.number, { port: step.port });
          live.set(endpoint.id, endpoint);
          tell([endpoint]);
        } else if (step.kind === "remove") {
          const endpoint = live.get(`s${step.service}-${step.number}`);
          if (endpoint === undefined) continue;
          live.delete(endpoint.id);
          tell([], [endpoint]);
        } else {
          const { reader, services } = readers[step.reader];
          if (step.kind === "take") reader.takeOne();
          else if (step.service === 4) {
            services.add("*");
            for (const state of catalog.subscribeAll(reader.subscriber)) reader.subscriber.add(state, null);
          } else {
            services.add(`s${step.service}`);
            reader.subscriber.add(catalog.subscribe(`s${step.service}`, reader.subscriber), null);
          }
        }
      }
      for (const { reader, services } of readers) {
        reader.takeAll();
        assert.deepEqual(reader.state(), stateOf(catalog, [...services]));
      }
    }),
    { numRuns: 200 },
  );
});

test("S2: a reader that reads nothing costs nothing more, however much changes; then it gets one whole state", async () => {
  const { catalog, tell } = await catalogWith();
  const reader = new Reader();
  reader.subscriber.add(catalog.subscribe("alpha", reader.subscriber), null);
  reader.takeAll();
  for (let i = 0; i < 10_000; i++) tell([endpointOf("alpha", 1 + (i % 3), { port: 1 + (i % 60_000) })]);
  reader.bytes = 0;
  reader.takeAll();
  assert.deepEqual(reader.state(), stateOf(catalog, ["alpha"]));
  assert.ok(reader.bytes < 500, `${reader.bytes} bytes for three endpoints`);
});

test("a reader that keeps up gets deltas, not whole states", async () => {
  const { catalog, tell } = await catalogWith();
  const reader = new Reader();
  tell(Array.from({ length: 1_000 }, (_, i) => endpointOf("alpha", i, { host: "10.0.0.1" })));
  reader.subscriber.add(catalog.subscribe("alpha", reader.subscriber), null);
  reader.takeAll();
  reader.bytes = 0;
  for (let i = 0; i < 10; i++) {
    tell([endpointOf("alpha", i, { host: "10.0.0.2" })]);
    reader.takeAll();
  }
  assert.ok(reader.bytes < 1_000, `${reader.bytes} bytes for ten deltas`);
});

test("S3: a subscription is acknowledged with its first state, not before", async () => {
  const { catalog, tell } = await catalogWith();
  const many = (service: string) =>
    Array.from({ length: 8_000 }, (_, i) =>
      endpointOf(service, i, { host: "10.0.0.1", metadata: { a: "x".repeat(100) } }),
    );
  for (const service of ["a", "b", "c"]) tell(many(service)); // about a message each
  const reader = new Reader();
  const states = ["a", "b", "c"].map((service) => catalog.subscribe(service, reader.subscriber));
  for (const state of states) reader.subscriber.add(state, null);
  reader.subscriber.acknowledgeAfter(states, { requestId: 7n });
  reader.subscriber.acknowledge({ requestId: 8n });
  reader.takeOne();
  assert.deepEqual(reader.acks, [8n]);
  reader.takeAll();
  assert.deepEqual(reader.acks, [8n, 7n]);
  assert.equal(reader.known.get("c")?.size, 8_000);
});

test("who comes back with a known version gets only what it missed", async () => {
  const { catalog, tell } = await catalogWith();
  const first = new Reader();
  const state = catalog.subscribe("alpha", first.subscriber);
  first.subscriber.add(state, null);
  tell([endpointOf("alpha", 1), endpointOf("alpha", 2)]);
  const known = state.endpointVersion;
  tell([endpointOf("alpha", 3)]);
  const again = new Reader();
  again.subscriber.add(catalog.subscribe("alpha", again.subscriber), state.sequenceOf(known));
  again.takeAll();
  assert.deepEqual([...(again.known.get("alpha")?.keys() ?? [])], ["alpha-3"]);
  assert.equal(state.sequenceOf(999), null);
});

test("who was the only one, and comes back, gets only what it missed, unless that is too much", async () => {
  const { catalog, tell } = await catalogWith();
  const first = new Reader();
  const state = catalog.subscribe("alpha", first.subscriber);
  first.subscriber.add(state, null);
  tell([endpointOf("alpha", 1)]);
  first.takeAll();
  const known = state.endpointVersion;
  catalog.unsubscribe(first.subscriber, [state]);
  tell([endpointOf("alpha", 2)]);
  tell([endpointOf("alpha", 3)], [endpointOf("alpha", 1)]);
  const again = new Reader();
  again.subscriber.add(catalog.subscribe("alpha", again.subscriber), state.sequenceOf(known));
  again.takeAll();
  assert.deepEqual([...(again.known.get("alpha")?.keys() ?? [])], ["alpha-2", "alpha-3"], "no whole state");
  catalog.unsubscribe(again.subscriber, [state]);
  for (let port = 1; port < 200; port++) tell([endpointOf("alpha", 2, { port })]);
  assert.equal(state.sequenceOf(known), null, "for nobody nothing is kept");
});

test("an update is encoded once for all of 2,000 subscribers", async () => {
  const { catalog, tell } = await catalogWith();
  const subscribers = Array.from({ length: 2_000 }, () => {
    const subscriber = new Subscriber(() => {});
    subscriber.add(catalog.subscribe("alpha", subscriber), null);
    subscriber.take();
    return subscriber;
  });
  tell([endpointOf("alpha", 1)]);
  const messages = new Set(subscribers.map((subscriber) => subscriber.take()?.services?.[0]));
  assert.equal(messages.size, 1);
});

test("S3: a subscription to settings is acknowledged with them; of many updates the newest is taken", () => {
  const { subscriber } = new Reader();
  const bytes = (size: number, fill: number) => new Uint8Array(size).fill(fill);
  subscriber.settings("orders", bytes(1_000_000, 1));
  subscriber.settings("orders", bytes(1_000_000, 2));
  subscriber.settings("payments", bytes(100_000, 3));
  subscriber.settings("users", bytes(10, 4));
  subscriber.acknowledgeAfter([], { requestId: 1n }, ["orders", "users"]);
  const first = subscriber.take();
  assert.deepEqual(
    first?.settings?.map((one) => one[0]),
    [2, 3],
  );
  assert.deepEqual(first?.acks, []);
  const second = subscriber.take();
  assert.deepEqual([second?.settings?.map((one) => one[0]), second?.acks], [[4], [{ requestId: 1n }]]);
  subscriber.acknowledgeAfter([], { requestId: 2n }, ["orders"]);
  assert.deepEqual(subscriber.take()?.acks, [{ requestId: 2n }]);
  assert.equal(subscriber.take(), null);
});

test("who is told of changes alone has nothing encoded or kept for it", async () => {
  const { catalog, tell } = await catalogWith();
  const heard: string[] = [];
  const end = catalog.onChange((service) => heard.push(service));
  tell([endpointOf("alpha", 1)]);
  tell([endpointOf("alpha", 2), endpointOf("beta", 1)]);
  assert.deepEqual(heard, ["alpha", "alpha", "beta"]);
  const state = catalog.get("alpha");
  assert.equal(state?.since(1), null, "nobody subscribed who could take it");
  const { subscriber } = new Reader();
  catalog.subscribe("alpha", subscriber);
  tell([endpointOf("alpha", 3)]);
  assert.equal(state?.since(2)?.length, 1);
  tell([], [endpointOf("beta", 1)]);
  assert.equal(heard.at(-1), "beta");
  end();
  tell([endpointOf("alpha", 4)]);
  assert.equal(heard.length, 5);
});
