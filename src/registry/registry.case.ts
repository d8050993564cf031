import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";
import type { ConsistencyMode, EndpointDelta, Lease, Registry } from "./registry.ts";

/** What a driver gives the suite. */
export interface RegistryHarness {
  /** A registry with nothing in it (or, for drivers that come with endpoints, nothing of the suite's services "alpha", "beta", "gamma"). */
  open(mode?: ConsistencyMode): Promise<Registry>;
  /** Makes the place where endpoints are kept stop answering, until it is called with false. Left out where that is this process. */
  away?(away: boolean): Promise<void>;
  /** Lets `ms` pass: moves the driver's clock, or waits where time cannot be moved. */
  pass(ms: number): Promise<void>;
  /** Lease period that the driver does well, ms. Default 3,000. */
  ttlMs?: number;
}

/** The contract of Registry: every driver's tests call it. `name` begins the names of its tests. */
export function registryCases(name: string, harness: () => Promise<RegistryHarness>): void {
  const within = (what: string, body: (registry: Registry, harness: RegistryHarness, ttlMs: number) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const made = await harness();
      const registry = await made.open();
      try {
        await body(registry, made, made.ttlMs ?? 3_000);
      } finally {
        await registry.close();
      }
    });

  for (const mode of ["available", "consistent"] as const) {
    test(`${name}: in the mode "${mode}" it answers, and what was acknowledged is in it`, async () => {
      const made = await harness();
      const registry = await made.open(mode);
      try {
        assert.equal(registry.mode, mode);
        const lease = await registry.register(endpointOf("alpha", 1), LASTING_MS);
        const seen = follow(registry, ["alpha"]);
        const list = await registry.query(["alpha"]);
        assert.equal(list.staleMs, 0);
        assert.deepEqual(idsOf(list), ["alpha-1"]);
        assert.deepEqual((await registry.query(["*"])).endpoints, [endpointOf("alpha", 1)]);
        await registry.setHealth("alpha-1", "unhealthy", "refused", "check");
        assert.equal((await registry.query(["alpha"])).endpoints[0].health, "unhealthy");
        await lease.renew();
        await lease.release();
        assert.deepEqual(idsOf(await registry.query(["alpha"])), []);
        await seen.until(() => seen.deltas.length > 0 && seen.ids().length === 0);
      } finally {
        await registry.close();
      }
    });

    test(`${name}: in the mode "${mode}", when the place of endpoints does not answer`, async (context) => {
      const made = await harness();
      const { away } = made;
      if (away === undefined) return context.skip("it is this process");
      const registry = await made.open(mode);
      try {
        const seen = follow(registry, ["alpha"]);
        await registry.register(endpointOf("alpha", 1), LASTING_MS);
        await away(true);
        await made.pass(3_500);
        const asked = registry.query(["alpha"]);
        asked.catch(() => {});
        await made.pass(6_000);
        if (mode === "available") {
          const { staleMs, endpoints } = await asked;
          assert.equal(endpoints.length, 1);
          assert.ok(staleMs > 500 && staleMs < 15_000, `${staleMs} ms stale`);
        } else await rejects(asked, "unavailable", "NOT_CONFIRMED");
        await away(false);
        await made.pass(3_000);
        await registry.register(endpointOf("alpha", 2), LASTING_MS);
        const list = await registry.query(["alpha"]);
        assert.equal(list.staleMs, 0);
        assert.deepEqual(idsOf(list), ["alpha-1", "alpha-2"]);
        await seen.until(() => seen.ids().length === 2);
        assert.equal(seen.removals.length, 0);
      } finally {
        await away(false);
        await registry.close();
      }
    });
  }

  within("what is registered is found, whole, by its service's name", async (registry) => {
    const one = endpointOf("alpha", 1, {
      version: "v2",
      zone: "eu-1",
      weight: 3,
      protocol: "http1",
      metadata: { team: "a/b" },
    });
    await registry.register(one, LASTING_MS);
    await registry.register(endpointOf("beta", 1, { host: "::1" }), LASTING_MS);
    assert.deepEqual((await registry.query(["alpha"])).endpoints, [one]);
    assert.deepEqual(idsOf(await registry.query(["alpha", "beta", "alpha"])), ["alpha-1", "beta-1"]);
    assert.deepEqual(idsOf(await registry.query(["*"])), ["alpha-1", "beta-1"]);
    assert.deepEqual(idsOf(await registry.query(["nowhere"])), []);
    assert.deepEqual(idsOf(await registry.query([])), []);
  });

  within("a lease that is not renewed ends, one that is lives on", async (registry, { pass }, ttlMs) => {
    const kept = await registry.register(endpointOf("alpha", 1), ttlMs);
    const lost = await registry.register(endpointOf("alpha", 2), ttlMs);
    for (let i = 0; i < 8; i++) {
      await pass(ttlMs / 4);
      await kept.renew();
    }
    assert.deepEqual(idsOf(await registry.query(["alpha"])), ["alpha-1"]);
    await rejects(lost.renew(), "not_found", "LEASE_EXPIRED");
    await lost.release(); // idempotent, even when it is gone
  });

  within("release removes the endpoint at once, and again does nothing", async (registry) => {
    const lease = await registry.register(endpointOf("alpha", 1), LASTING_MS);
    await lease.release();
    await lease.release();
    assert.deepEqual(idsOf(await registry.query(["alpha"])), []);
    await rejects(lease.renew(), "not_found", "LEASE_EXPIRED");
  });

  within("the same id again replaces the endpoint, and takes the lease over", async (registry) => {
    const first = await registry.register(endpointOf("alpha", 1, { port: 7001 }), LASTING_MS);
    const second = await registry.register(endpointOf("alpha", 1, { port: 7002 }), LASTING_MS);
    const { endpoints } = await registry.query(["alpha"]);
    assert.deepEqual(
      endpoints.map((endpoint) => endpoint.port),
      [7002],
    );
    await rejects(first.renew(), "not_found", "LEASE_REPLACED");
    await first.release();
    assert.equal(
      (await registry.query(["alpha"])).endpoints.length,
      1,
      "an earlier owner removed a later one's endpoint",
    );
    await second.renew();
  });

  within("a watch tells the whole state first, then every change in order", async (registry, { pass }, ttlMs) => {
    await registry.register(endpointOf("alpha", 1), LASTING_MS);
    const seen = follow(registry, ["alpha"]);
    await seen.until(() => seen.deltas.length === 1);
    assert.equal(seen.deltas[0].full, true);
    assert.deepEqual(seen.ids(), ["alpha-1"]);
    await registry.register(endpointOf("beta", 1), LASTING_MS);
    const lease = await registry.register(endpointOf("alpha", 2), LASTING_MS);
    await seen.until(() => seen.ids().length === 2);
    await registry.setHealth("alpha-2", "unhealthy", "refused");
    await seen.until(() => seen.state.get("alpha-2")?.health === "unhealthy");
    await lease.release();
    await seen.until(() => !seen.state.has("alpha-2"));
    assert.equal(seen.removals.at(-1)?.service, "alpha");
    // For a shorter time, now that nothing is to be done meanwhile.
    await registry.register(endpointOf("alpha", 1), ttlMs);
    for (let i = 0; i < 2; i++) await pass(ttlMs);
    await seen.until(() => seen.ids().length === 0);
    assert.notEqual(seen.removals.at(-1)?.reason, "");
    for (const [index, delta] of seen.deltas.entries()) {
      assert.equal(delta.full, index === 0);
      assert.ok(index === 0 || delta.endpointVersion > seen.deltas[index - 1].endpointVersion, "versions must grow");
      assert.ok(
        delta.changed.every((endpoint) => endpoint.service === "alpha"),
        "a watch told of another service",
      );
    }
  });

  within("an endpoint that moves to another service leaves the first", async (registry) => {
    const alpha = follow(registry, ["alpha"]);
    const all = follow(registry, ["*"]);
    await registry.register(endpointOf("alpha", 1), LASTING_MS);
    await registry.register({ ...endpointOf("alpha", 1), service: "beta" }, LASTING_MS);
    await all.until(() => all.state.get("alpha-1")?.service === "beta");
    await alpha.until(() => alpha.deltas.length > 0 && !alpha.state.has("alpha-1"));
  });

  within("a closed watch hears no more, and other watches go on", async (registry) => {
    const closed = follow(registry, ["alpha"]);
    const open = follow(registry, ["alpha"]);
    await closed.until(() => closed.deltas.length === 1);
    closed.watch.close();
    closed.watch.close();
    await registry.register(endpointOf("alpha", 1), LASTING_MS);
    await open.until(() => open.ids().length === 1);
    assert.equal(closed.deltas.length, 1);
    follow(registry, ["alpha"]).watch.close(); // before its first delta
  });

  within("a listener is never called from inside watch(), nor while another call of it runs", async (registry) => {
    let inside = false;
    let inWatch = true;
    let calls = 0;
    let registering: Promise<unknown> | null = null;
    const watch = registry.watch(["alpha"], () => {
      assert.equal(inside || inWatch, false);
      inside = true;
      if (calls++ === 0) registering = registry.register(endpointOf("alpha", 1), LASTING_MS);
      inside = false;
    });
    inWatch = false;
    const seen = follow(registry, ["alpha"]);
    await seen.until(() => seen.ids().length === 1);
    await eventually(() => calls >= 2, "the listener heard of its own registration");
    await registering; // which may be told of before it is answered
    watch.close();
  });

  within("health is recorded by owner and by check, and both count", async (registry) => {
    const healthOf = async () => (await registry.query(["alpha"])).endpoints[0]?.health;
    await registry.register(endpointOf("alpha", 1), LASTING_MS);
    assert.equal(await healthOf(), "healthy");
    await registry.setHealth("alpha-1", "unhealthy", "connection refused", "check");
    assert.equal(await healthOf(), "unhealthy");
    await registry.setHealth("alpha-1", "draining", "stopping");
    assert.equal(await healthOf(), "draining");
    await registry.setHealth("alpha-1", "healthy", "back");
    assert.equal(await healthOf(), "unhealthy");
    await registry.setHealth("alpha-1", "healthy", "answers", "check");
    assert.equal(await healthOf(), "healthy");
    await rejects(registry.setHealth("nobody", "healthy", ""), "not_found", "UNKNOWN_ENDPOINT");
  });

  within("what is malformed is refused, naming the field", async (registry, _, ttlMs) => {
    const refused: [Partial<Record<keyof Endpoint, unknown>>, string][] = [
      [{ id: "" }, "id"],
      [{ id: "a b" }, "id"],
      [{ id: "x".repeat(129) }, "id"],
      [{ service: "Alpha" }, "service"],
      [{ service: "-alpha" }, "service"],
      [{ service: "a".repeat(64) }, "service"],
      [{ host: "" }, "host"],
      [{ host: "[::1]" }, "host"],
      [{ host: "300.1.1.1" }, "host"],
      [{ host: "a..b" }, "host"],
      [{ port: 0 }, "port"],
      [{ port: 65_536 }, "port"],
      [{ port: 80.5 }, "port"],
      [{ port: "80" }, "port"],
      [{ weight: 0 }, "weight"],
      [{ weight: Number.NaN }, "weight"],
      [{ version: "v 1" }, "version"],
      [{ zone: "z".repeat(65) }, "zone"],
      [{ protocol: "ftp" }, "protocol"],
      [{ health: "well" }, "health"],
      [{ metadata: null }, "metadata"],
      [{ metadata: { "a b": "" } }, "metadata"],
      [{ metadata: { a: 1 } }, "metadata.a"],
      [{ metadata: { a: "x".repeat(1_025) } }, "metadata.a"],
      [{ metadata: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, ""])) }, "metadata"],
    ];
    for (const [part, field] of refused) {
      const thrown = await rejects(
        registry.register({ ...endpointOf("alpha", 1), ...part } as Endpoint, ttlMs),
        "invalid_argument",
      );
      assert.equal(thrown.place?.field, field, thrown.message);
      assert.ok(thrown.message.includes(field), thrown.message);
    }
    for (const ttl of [0, -1, Number.NaN, 1e12]) {
      assert.equal(
        (await rejects(registry.register(endpointOf("alpha", 1), ttl), "invalid_argument")).place?.field,
        "ttlMs",
      );
    }
    assert.deepEqual(idsOf(await registry.query(["alpha"])), []);
  });

  within("no update is lost when watches start while everything changes", async (registry) => {
    const random = seeded(11);
    const leases = new Map<string, Lease>();
    const watches: Followed[] = [];
    const work: Promise<unknown>[] = [];
    for (let step = 0; step < 300; step++) {
      const number = Math.floor(random() * 20);
      const id = `alpha-${number}`;
      const choice = random();
      if (choice < 0.5) {
        work.push(
          registry
            .register(endpointOf("alpha", number, { port: 1 + step }), LASTING_MS)
            .then((lease) => leases.set(id, lease)),
        );
      } else if (choice < 0.7) {
        work.push(Promise.resolve(leases.get(id)?.release()));
      } else if (choice < 0.9) {
        work.push(registry.setHealth(id, random() < 0.5 ? "unhealthy" : "healthy", "").catch(() => {}));
      } else {
        watches.push(follow(registry, ["alpha"]));
      }
      if (random() < 0.3) await Promise.race([...work.slice(-3), new Promise((resolve) => setImmediate(resolve))]);
    }
    await Promise.all(work);
    const wanted = await registry.query(["alpha"]);
    for (const seen of watches) {
      await seen.until(() => same(seen.list(), wanted.endpoints));
      assert.equal(seen.deltas.filter((delta) => delta.full).length, 1);
    }
  });

  within("many watches of many services each see their own", async (registry) => {
    const services = ["alpha", "beta", "gamma"];
    const watches = Array.from({ length: 300 }, (_, index) => ({
      service: services[index % 3],
      seen: follow(registry, [services[index % 3]]),
    }));
    for (const service of services) {
      for (let i = 1; i <= 5; i++) await registry.register(endpointOf(service, i), LASTING_MS);
    }
    for (const { service, seen } of watches) {
      await seen.until(() => seen.ids().length === 5);
      assert.ok(seen.list().every((endpoint) => endpoint.service === service));
    }
  });

  within("the endpoint version grows with every change and stays without one", async (registry) => {
    const version = async () => (await registry.query([])).endpointVersion;
    const before = await version();
    const lease = await registry.register(endpointOf("alpha", 1), LASTING_MS);
    const registered = await version();
    assert.ok(registered > before);
    await lease.renew();
    assert.equal(await version(), registered);
    await lease.release();
    assert.ok((await version()) > registered);
  });

  within("a closed registry refuses, and closing again does nothing", async (registry) => {
    const lease = await registry.register(endpointOf("alpha", 1), LASTING_MS);
    const seen = follow(registry, ["alpha"]);
    await registry.close();
    await registry.close();
    await rejects(registry.register(endpointOf("alpha", 2), LASTING_MS), "unavailable", "REGISTRY_CLOSED");
    await rejects(registry.query(["alpha"]), "unavailable", "REGISTRY_CLOSED");
    await rejects(lease.renew(), "unavailable", "REGISTRY_CLOSED");
    seen.watch.close();
  });
}

/** A well-formed endpoint of the suite: `SERVICE-NUMBER` at 10.0.0.NUMBER. */
export function endpointOf(service: string, number: number, part: Partial<Endpoint> = {}): Endpoint {
  return {
    id: `${service}-${number}`,
    service,
    host: `10.0.0.${number}`,
    port: 9_000,
    version: "",
    zone: "",
    weight: 1,
    protocol: "h2c",
    health: "healthy",
    metadata: {},
    ...part,
  };
}

interface Followed {
  readonly watch: { close(): void };
  readonly deltas: EndpointDelta[];
  readonly state: Map<string, Endpoint>;
  readonly removals: EndpointDelta["removed"][number][];
  ids(): string[];
  list(): Endpoint[];
  until(condition: () => boolean): Promise<void>;
}

/** A watcher that applies what it hears, as consumers do. */
function follow(registry: Registry, services: readonly string[]): Followed {
  const deltas: EndpointDelta[] = [];
  const state = new Map<string, Endpoint>();
  const removals: EndpointDelta["removed"][number][] = [];
  const watch = registry.watch(services, (delta) => {
    deltas.push(delta);
    if (delta.full) state.clear();
    for (const { id } of delta.removed) state.delete(id);
    for (const endpoint of delta.changed) state.set(endpoint.id, endpoint);
    removals.push(...delta.removed);
  });
  return {
    watch,
    deltas,
    state,
    removals,
    ids: () => [...state.keys()].sort(),
    list: () => [...state.values()],
    until: (condition) =>
      eventually(condition, `a watch of ${services.join(", ")}; it sees ${[...state.keys()].join(", ")}`),
  };
}

/** Turns of the event loop until the condition holds; a real server's answer may take some. */
async function eventually(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited in vain for ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function rejects(promise: Promise<unknown>, code: string, reason?: string): Promise<WeftError> {
  const thrown = await promise.then(
    () => assert.fail(`should have been refused with ${code}`),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof WeftError, String(thrown));
  assert.equal(thrown.code, code, thrown.message);
  if (reason !== undefined) assert.equal(thrown.reason, reason);
  return thrown;
}

function idsOf(list: { endpoints: readonly Endpoint[] }): string[] {
  return list.endpoints.map((endpoint) => endpoint.id).sort();
}

function same(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  const text = (list: readonly Endpoint[]) => JSON.stringify([...list].sort((x, y) => (x.id < y.id ? -1 : 1)));
  return text(a) === text(b);
}

/** Of a lease that does not end while a test looks, however slow its server is. */
const LASTING_MS = 60_000;

function seeded(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
}
