import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../core/errors.ts";
import type { EndpointDelta, Registry } from "./registry.ts";

/** What a driver gives the suite whose endpoints are said elsewhere: in a file, in a zone. */
export interface ReadOnlyHarness {
  open(): Promise<Registry>;
  /** Makes the place say that these, at 10.0.0.NUMBER:9000, are the endpoints of a service ("alpha", "beta"). */
  say(service: string, numbers: readonly number[]): Promise<void>;
  /** Lets so much time pass that whatever the place says is known. */
  settle(): Promise<void>;
  /** Why nobody registers over an endpoint that the place names: READ_ONLY, ENDPOINT_LISTED. */
  refusal: string;
}

/** The part of Registry's contract that holds where endpoints are named elsewhere. `name` begins the names of its tests. */
export function readOnlyRegistryCases(name: string, harness: () => Promise<ReadOnlyHarness>): void {
  const within = (what: string, body: (registry: Registry, harness: ReadOnlyHarness) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const made = await harness();
      await made.say("alpha", [1, 2]);
      await made.say("beta", [3]);
      const registry = await made.open();
      try {
        await body(registry, made);
      } finally {
        await registry.close();
      }
    });
  const addresses = async (registry: Registry, ...services: string[]) =>
    (await registry.query(services)).endpoints.map(({ service, host, port }) => `${service} ${host}:${port}`).sort();

  within("what is named is found by its service's name", async (registry) => {
    assert.deepEqual(await addresses(registry, "alpha"), ["alpha 10.0.0.1:9000", "alpha 10.0.0.2:9000"]);
    assert.deepEqual(await addresses(registry, "alpha", "beta", "alpha"), [
      "alpha 10.0.0.1:9000",
      "alpha 10.0.0.2:9000",
      "beta 10.0.0.3:9000",
    ]);
    assert.deepEqual(await addresses(registry, "nowhere"), []);
    assert.deepEqual(await addresses(registry, "Not_a_name"), []);
    assert.deepEqual(await addresses(registry), []);
    assert.deepEqual(await addresses(registry, "*"), [
      "alpha 10.0.0.1:9000",
      "alpha 10.0.0.2:9000",
      "beta 10.0.0.3:9000",
    ]);
    const { staleMs, endpoints } = await registry.query(["alpha"]);
    assert.equal(staleMs, 0);
    assert.equal(registry.mode, "available");
    for (const { weight, health, version } of endpoints)
      assert.deepEqual([weight, health, version], [1, "healthy", ""]);
  });

  within("a watch tells the whole state first, then every change in order", async (registry, { say, settle }) => {
    const seen = follow(registry, ["alpha"]);
    await seen.until("10.0.0.1 10.0.0.2");
    assert.equal(seen.deltas.length, 1);
    assert.equal(seen.deltas[0].full, true);
    await say("alpha", [2, 4]);
    await settle();
    await seen.until("10.0.0.2 10.0.0.4");
    await say("beta", []);
    await say("alpha", []);
    await settle();
    await seen.until("");
    await say("alpha", [1]);
    await settle();
    await seen.until("10.0.0.1");
    for (const [index, delta] of seen.deltas.entries()) {
      assert.equal(delta.full, index === 0);
      assert.ok(index === 0 || delta.endpointVersion > seen.deltas[index - 1].endpointVersion, "versions must grow");
      assert.ok(
        delta.changed.every(({ service }) => service === "alpha") &&
          delta.removed.every(({ service }) => service === "alpha"),
      );
      assert.ok(delta.removed.every(({ reason }) => reason !== ""));
    }
  });

  within("nothing is told while nothing changes", async (registry, { settle }) => {
    const seen = follow(registry, ["*"]);
    await seen.until("10.0.0.1 10.0.0.2 10.0.0.3");
    const before = (await registry.query([])).endpointVersion;
    await settle();
    await settle();
    assert.equal(seen.deltas.length, 1);
    assert.equal((await registry.query([])).endpointVersion, before);
  });

  within("a closed watch hears no more, and others go on", async (registry, { say, settle }) => {
    const closed = follow(registry, ["alpha"]);
    const open = follow(registry, ["alpha"]);
    await closed.until("10.0.0.1 10.0.0.2");
    closed.close();
    closed.close();
    await say("alpha", [2]);
    await settle();
    await open.until("10.0.0.2");
    assert.equal(closed.deltas.length, 1);
    follow(registry, ["alpha"]).close(); // before its first delta
  });

  within(
    "health is recorded by owner and by check, both count, and it outlasts what changes beside it",
    async (registry, { say, settle }) => {
      const healths = async () =>
        (await registry.query(["alpha"])).endpoints
          .map(({ host, health }) => `${host} ${health}`)
          .sort()
          .join();
      const [{ id }] = (await registry.query(["alpha"])).endpoints.filter(({ host }) => host === "10.0.0.1");
      await registry.setHealth(id, "unhealthy", "connection refused", "check");
      assert.equal(await healths(), "10.0.0.1 unhealthy,10.0.0.2 healthy");
      await say("alpha", [1, 5]);
      await settle();
      assert.equal(await healths(), "10.0.0.1 unhealthy,10.0.0.5 healthy");
      await registry.setHealth(id, "draining", "stopping");
      assert.equal(await healths(), "10.0.0.1 draining,10.0.0.5 healthy");
      await registry.setHealth(id, "healthy", "back");
      await registry.setHealth(id, "healthy", "answers", "check");
      assert.equal(await healths(), "10.0.0.1 healthy,10.0.0.5 healthy");
      await rejects(registry.setHealth("nobody", "healthy", ""), "not_found", "UNKNOWN_ENDPOINT");
    },
  );

  within(
    "nobody registers over what is named, and what is malformed is refused first",
    async (registry, { refusal }) => {
      const [endpoint] = (await registry.query(["beta"])).endpoints;
      const thrown = await registry.register(endpoint, 3_000).then(
        () => assert.fail("it was registered over"),
        (error: unknown) => error,
      );
      assert.ok(thrown instanceof WeftError);
      assert.equal(thrown.reason, refusal);
      assert.ok(thrown.message.includes(endpoint.id), thrown.message);
      assert.deepEqual(await addresses(registry, "beta"), ["beta 10.0.0.3:9000"]);
      await rejects(
        registry.register({ ...endpoint, id: "new-1", port: 0 }, 3_000),
        "invalid_argument",
        "INVALID_ENDPOINT",
      );
    },
  );

  within("a closed registry refuses, and closing again does nothing", async (registry) => {
    const seen = follow(registry, ["alpha"]);
    await registry.close();
    await registry.close();
    await rejects(registry.query(["alpha"]), "unavailable", "REGISTRY_CLOSED");
    assert.throws(() => registry.watch(["alpha"], () => {}), { reason: "REGISTRY_CLOSED" });
    seen.close();
  });
}

/** A watcher that applies what it hears, as consumers do. */
function follow(registry: Registry, services: readonly string[]) {
  const deltas: EndpointDelta[] = [];
  const hosts = new Map<string, string>();
  let inside = true;
  const watch = registry.watch(services, (delta) => {
    assert.equal(inside, false, "a listener was called from inside watch(), or from inside itself");
    deltas.push(delta);
    if (delta.full) hosts.clear();
    for (const { id } of delta.removed) hosts.delete(id);
    for (const { id, host } of delta.changed) hosts.set(id, host);
  });
  inside = false;
  return {
    deltas,
    close: () => watch.close(),
    async until(wanted: string): Promise<void> {
      const now = () => [...hosts.values()].sort().join(" ");
      for (const end = performance.now() + 5_000; now() !== wanted || deltas.length === 0; ) {
        assert.ok(performance.now() < end, `waited in vain for "${wanted}"; it sees "${now()}"`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

async function rejects(promise: Promise<unknown>, code: string, reason: string): Promise<void> {
  const thrown = await promise.then(
    () => assert.fail(`should have been refused with ${reason}`),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof WeftError, String(thrown));
  assert.deepEqual([thrown.code, thrown.reason], [code, reason], thrown.message);
}
