import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { seededRandom } from "../core/random.ts";
import { openBackedRegistry } from "./backed-registry.ts";
import { endpointOf, registryCases } from "./registry.case.ts";
import type { EndpointDelta, Lease, Registry } from "./registry.ts";
import { removeEndpoint } from "./remove-endpoint.ts";
import { type PlaceBackend, SharedPlace } from "./shared-place.case.ts";

/** Lets time pass in steps, with what follows from each of them. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 50) {
    await turn();
    clock.advance(Math.min(50, left));
  }
  await turn();
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const TTL_MS = 3_000;

for (const usual of ["available", "consistent"] as const) {
  registryCases(`backed, ${usual}`, async () => {
    const clock = new VirtualClock();
    const random = seededRandom(7);
    const backend = new SharedPlace(clock).backend();
    return {
      open: (mode = usual) => openBackedRegistry({ backend, mode, clock, random }),
      pass: (ms) => pass(clock, ms),
      away: async (away) => (away ? backend.cut() : backend.mend()),
    };
  });
}

/** A control plane over the place: what it sees, what it lost, and a heartbeat for what it holds. */
class Plane {
  readonly registry: Registry;
  readonly backend: PlaceBackend;
  readonly left: string[] = [];
  readonly refused: string[] = [];
  readonly #state = new Map<string, number>();
  readonly #leases = new Map<string, Lease>();
  readonly #clock: VirtualClock;

  static async open(
    place: SharedPlace,
    clock: VirtualClock,
    mode: "available" | "consistent" = "available",
  ): Promise<Plane> {
    const backend = place.backend();
    const registry = await openBackedRegistry({ backend, mode, clock, random: seededRandom(1) });
    return new Plane(registry, backend, clock);
  }

  private constructor(registry: Registry, backend: PlaceBackend, clock: VirtualClock) {
    this.registry = registry;
    this.backend = backend;
    this.#clock = clock;
    let last = -1;
    registry.watch(["*"], (delta: EndpointDelta) => {
      assert.ok(delta.endpointVersion > last, "an endpoint version did not grow");
      last = delta.endpointVersion;
      const before = new Set(this.#state.keys());
      if (delta.full) this.#state.clear();
      for (const { id } of delta.removed) this.#state.delete(id);
      for (const { id, port } of delta.changed) this.#state.set(id, port);
      for (const id of before) if (!this.#state.has(id)) this.left.push(id);
    });
    this.#beat();
  }

  async register(number: number, port = 9_000): Promise<Lease> {
    const lease = await this.registry.register(endpointOf("alpha", number, { port }), TTL_MS);
    this.#leases.set(lease.id, lease);
    return lease;
  }

  forget(number: number): void {
    this.#leases.delete(`alpha-${number}`);
  }

  get ids(): string {
    return [...this.#state.keys()].sort().join(" ");
  }

  portOf(number: number): number | undefined {
    return this.#state.get(`alpha-${number}`);
  }

  #beat(): void {
    this.#clock.after(TTL_MS / 3, () => {
      for (const [id, lease] of this.#leases) lease.renew().catch(({ reason }) => this.refused.push(`${id} ${reason}`));
      this.#beat();
    });
  }
}

async function two(mode: "available" | "consistent" = "available") {
  const clock = new VirtualClock();
  const place = new SharedPlace(clock);
  const [a, b] = [await Plane.open(place, clock, mode), await Plane.open(place, clock, mode)];
  for (const number of [1, 2]) await a.register(number);
  for (const number of [3, 4]) await b.register(number);
  await turn();
  return {
    clock,
    place,
    a,
    b,
    pass: (ms: number) => pass(clock, ms),
    close: () => Promise.all([a, b].map((one) => one.registry.close())),
  };
}

const FOUR = "alpha-1 alpha-2 alpha-3 alpha-4";

test("two planes see each other's, and heartbeats write nothing", async () => {
  const { place, a, b, pass, close } = await two();
  assert.deepEqual([a.ids, b.ids], [FOUR, FOUR]);
  const { writes } = place;
  await pass(10 * TTL_MS);
  assert.deepEqual([a.ids, b.ids, place.ids], [FOUR, FOUR, FOUR]);
  assert.equal(place.writes, writes);
  await b.registry.setHealth("alpha-1", "unhealthy", "refused", "check");
  await turn();
  const seen = (await a.registry.query(["alpha"])).endpoints.find(({ id }) => id === "alpha-1");
  assert.equal(seen?.health, "unhealthy");
  b.forget(3);
  await pass(2 * TTL_MS);
  assert.deepEqual([a.ids, b.ids, place.ids], Array(3).fill("alpha-1 alpha-2 alpha-4"));
  await close();
});

test("an id that another plane registers is that one's, and its earlier owner is told", async () => {
  const { place, a, b, pass, close } = await two();
  const earlier = await a.register(1);
  await b.register(1, 9_001);
  await turn();
  assert.equal(a.portOf(1), 9_001);
  await assert.rejects(earlier.renew(), { reason: "LEASE_REPLACED" });
  await earlier.release();
  await pass(3 * TTL_MS);
  assert.deepEqual([a.ids, b.ids, place.ids], [FOUR, FOUR, FOUR]);
  await close();
});

test("a plane that dies: its endpoints stay until their processes register elsewhere, and those that do not go", async () => {
  const { clock, place, a, b, pass, close } = await two();
  b.backend.cut();
  place.live(b.backend.plane, false);
  await pass(2_000);
  await a.register(3, 9_003);
  await pass(500);
  assert.equal(a.ids, FOUR);
  assert.equal((await a.registry.query(["alpha"])).endpoints.length, 4);
  await pass(4_000);
  assert.equal(a.ids, "alpha-1 alpha-2 alpha-3");
  assert.equal(place.ids, "alpha-1 alpha-2 alpha-3", "it was not removed from the backend");
  assert.deepEqual(a.left, ["alpha-4"]);
  assert.equal(clock.now() > 0, true);
  await close();
});

test("what is registered for good stays when its plane dies, and goes when it is taken away", async () => {
  const { place, clock, a, b, pass, close } = await two();
  await a.registry.register(endpointOf("beta", 1), Number.POSITIVE_INFINITY);
  a.backend.cut();
  place.live(a.backend.plane, false);
  await pass(60_000);
  const betas = async (registry: Registry) => (await registry.query(["beta"])).endpoints.map(({ id }) => id);
  assert.deepEqual(await betas(b.registry), ["beta-1"]);
  const fresh = await Plane.open(place, clock);
  assert.deepEqual(await betas(fresh.registry), ["beta-1"]);
  await removeEndpoint(fresh.registry, "beta-1");
  await pass(1_000);
  assert.deepEqual([await betas(b.registry), await betas(fresh.registry)], [[], []]);
  await fresh.registry.close();
  await close();
});

test("a plane whose sign of life ended for a moment keeps everything", async () => {
  const { place, a, b, pass, close } = await two();
  place.live(b.backend.plane, false);
  await pass(1_000);
  place.live(b.backend.plane, true);
  await pass(10_000);
  assert.deepEqual([a.ids, b.ids, place.ids], [FOUR, FOUR, FOUR]);
  assert.deepEqual([a.left, b.left, b.refused], [[], [], []]);
  await close();
});

test("a plane that was cut off for longer than others wait puts back what is in use there", async () => {
  const { place, a, b, pass, close } = await two();
  b.backend.cut();
  place.live(b.backend.plane, false);
  await pass(8_000);
  assert.equal(place.ids, "alpha-1 alpha-2");
  await a.register(4, 9_004);
  assert.equal(b.ids, FOUR, "what is known stays in use");
  place.live(b.backend.plane, true);
  b.backend.mend();
  await pass(1_000);
  assert.deepEqual([a.ids, b.ids, place.ids], [FOUR, FOUR, FOUR]);
  assert.equal(b.portOf(4), 9_004, "a later registration elsewhere was overwritten");
  assert.deepEqual(b.left, []);
  await pass(TTL_MS);
  assert.deepEqual([...new Set(b.refused)], ["alpha-4 LEASE_REPLACED"]);
  await close();
});

test("what another plane registered and released while this one was away is not put back, in the mode consistent", async () => {
  const { place, a, b, pass, close } = await two("consistent");
  a.backend.cut();
  const later = await b.register(1, 9_001);
  await later.release();
  b.forget(1);
  await pass(500);
  a.backend.mend();
  await pass(500);
  assert.equal(place.ids, "alpha-2 alpha-3 alpha-4");
  await pass(8_000);
  assert.deepEqual([a.ids, b.ids], ["alpha-2 alpha-3 alpha-4", "alpha-2 alpha-3 alpha-4"]);
  assert.deepEqual([...new Set(a.refused)], ["alpha-1 LEASE_EXPIRED"]);
  await close();
});

test("a removal tells of a registration that was not told: the earlier one is over", async () => {
  const { place, a, b, pass, close } = await two();
  place.coalesce = true;
  const later = await b.register(1, 9_001);
  await later.release();
  b.forget(1);
  place.coalesce = false;
  await pass(500);
  assert.equal(place.ids, "alpha-2 alpha-3 alpha-4");
  await pass(TTL_MS);
  assert.deepEqual([a.ids, [...new Set(a.refused)]], ["alpha-2 alpha-3 alpha-4", ["alpha-1 LEASE_REPLACED"]]);
  await close();
});

for (const mode of ["available", "consistent"] as const)
  test(`${mode}: data lost: each puts its own back, and nothing leaves`, async () => {
    const { place, a, b, pass, close } = await two(mode);
    const before = (await a.registry.query([])).endpointVersion;
    await b.registry.setHealth("alpha-4", "draining", "stopping");
    place.lose();
    await pass(500);
    place.mend();
    await pass(500);
    assert.equal(place.ids, FOUR);
    assert.equal(place.entry("alpha-4")?.endpoint.health, "draining");
    await pass(10_000);
    assert.deepEqual([a.ids, b.ids, a.left, b.left], [FOUR, FOUR, [], []]);
    assert.ok((await a.registry.query([])).endpointVersion > before, "versions were rolled back");
    await close();
  });

for (const mode of ["available", "consistent"] as const)
  test(`${mode}: data lost: what is registered before that was noticed stays, though its version is an older one`, async () => {
    const { place, a, b, pass, close } = await two(mode);
    place.lose(true);
    await Promise.all([a.register(1, 9_001), b.register(4, 9_004)]);
    await pass(500);
    place.mend();
    await pass(10_000);
    assert.deepEqual([a.ids, b.ids, place.ids], [FOUR, FOUR, FOUR]);
    assert.deepEqual([a.portOf(4), b.portOf(1), a.portOf(1), b.portOf(4)], [9_004, 9_001, 9_001, 9_004]);
    assert.deepEqual([a.left, b.left, a.refused, b.refused], [[], [], [], []]);
    await close();
  });

test("data lost, and a registration whose caller gave up found with an older version: nobody renews it", async () => {
  const { place, a, b, pass, close } = await two();
  const held = place.entry("alpha-2");
  assert.ok(held !== undefined);
  place.lose();
  await pass(500);
  place.putForeign({ ...held, endpoint: endpointOf("alpha", 2, { port: 9_002 }), owner: "late" });
  place.mend();
  await pass(500);
  assert.equal(b.portOf(2), 9_002);
  await pass(3 * TTL_MS);
  assert.deepEqual([...new Set(a.refused)], ["alpha-2 LEASE_REPLACED"]);
  assert.deepEqual([a.ids, b.ids, place.ids], Array(3).fill("alpha-1 alpha-3 alpha-4"));
  await close();
});

test("data lost: who hears nothing of what was put there again, and does not know that yet, gives nothing up", async () => {
  const { place, a, b, pass, close } = await two();
  place.lose();
  await pass(500);
  b.backend.mend();
  await pass(500);
  b.backend.cut(true);
  a.backend.mend();
  await pass(10_000);
  assert.deepEqual([b.ids, b.left, place.ids], [FOUR, [], FOUR]);
  b.backend.mend();
  await pass(10_000);
  assert.deepEqual([a.ids, b.ids, place.ids], [FOUR, FOUR, FOUR]);
  assert.deepEqual([a.left, b.left, a.refused, b.refused], [[], [], [], []]);
  await close();
});

test("data lost twice: each time there is the whole time to put back what was lost", async () => {
  const { place, a, b, pass, close } = await two();
  place.lose();
  b.backend.mend();
  await pass(500);
  place.lose(true);
  await pass(2_000);
  b.backend.mend();
  await pass(1_500);
  a.backend.mend();
  await pass(10_000);
  assert.deepEqual([a.ids, b.ids, place.ids], [FOUR, FOUR, FOUR]);
  assert.deepEqual([a.left, b.left, a.refused, b.refused], [[], [], [], []]);
  await close();
});

test("data lost and a process dead meanwhile: that one goes", async () => {
  const { place, a, b, pass, close } = await two();
  place.lose();
  b.forget(3);
  await pass(TTL_MS + 500);
  place.mend();
  await pass(5_000);
  assert.deepEqual([a.ids, b.ids, place.ids], Array(3).fill("alpha-1 alpha-2 alpha-4"));
  assert.deepEqual([a.left, b.left], [["alpha-3"], ["alpha-3"]]);
  await close();
});

test("entries removed behind everybody's back are put there again by who holds them", async () => {
  const { place, a, b, pass, close } = await two();
  place.takeAway(["alpha-1", "alpha-3"]);
  await pass(500);
  assert.deepEqual([a.ids, b.ids, place.ids, a.left, b.left], [FOUR, FOUR, FOUR, [], []]);
  await close();
});

test("what was released, or ran out, while the backend was away leaves it afterwards", async () => {
  const { place, a, b, pass, close } = await two();
  const released = await a.register(1);
  a.backend.cut();
  await turn();
  await released.release();
  a.forget(1);
  a.forget(2);
  await pass(TTL_MS + 200);
  assert.equal(a.ids, "alpha-3 alpha-4");
  assert.equal(place.ids, FOUR);
  a.backend.mend();
  await pass(1_000);
  assert.deepEqual([a.ids, b.ids, place.ids], Array(3).fill("alpha-3 alpha-4"));
  await close();
});

test("many leases that run out together are protected", async () => {
  const clock = new VirtualClock();
  const place = new SharedPlace(clock);
  const [a, b] = [await Plane.open(place, clock), await Plane.open(place, clock)];
  await Promise.all(Array.from({ length: 100 }, (_, i) => a.register(i)));
  for (let i = 0; i < 100; i++) a.forget(i);
  await pass(clock, 2 * TTL_MS);
  assert.equal((await b.registry.query(["alpha"])).endpoints.length, 50);
  await pass(clock, 61_000);
  assert.equal((await b.registry.query(["alpha"])).endpoints.length, 25);
  await Promise.all([a.registry.close(), b.registry.close()]);
});

test("out of touch it answers and says how stale, or refuses, by its mode", async () => {
  for (const mode of ["available", "consistent"] as const) {
    const { a, pass, close } = await two(mode);
    assert.equal((await a.registry.query(["alpha"])).staleMs, 0);
    a.backend.cut();
    await pass(2_000);
    const asked = a.registry.query(["alpha"]).then(
      (list) => list,
      (error) => error,
    );
    await pass(5_000);
    const answer = await asked;
    if (mode === "available") {
      assert.equal(answer.endpoints.length, 4);
      assert.ok(answer.staleMs >= 1_900 && answer.staleMs < 3_000, `${answer.staleMs}`);
    } else assert.equal(answer.reason, "NOT_CONFIRMED");
    const registering = a.register(9).then(
      () => "registered",
      ({ code }) => code,
    );
    await pass(6_000);
    assert.equal(await registering, "unavailable");
    a.backend.mend();
    await pass(1_000);
    assert.equal((await a.registry.query(["alpha"])).staleMs, 0);
    await close();
  }
});

test("a backend that is silent without a word is stale, too", async () => {
  const clock = new VirtualClock();
  const backend = new SharedPlace(clock).backend();
  const silent = {
    ...methodsOf(backend),
    follow: async (_: string, events: { whole(all: []): void }) => events.whole([]),
  };
  const registry = await openBackedRegistry({ backend: silent, clock });
  assert.equal((await registry.query([])).staleMs, 0);
  clock.advance(10_000);
  assert.equal((await registry.query([])).staleMs, 10_000);
  await registry.close();
});

test("a registration whose answer was lost is found, not made twice; nobody renews one whose caller gave up", async () => {
  const { place, a, b, pass, close } = await two();
  place.swallow = 1;
  const registering = a.register(5, 9_005);
  await pass(500);
  await registering;
  assert.equal(b.portOf(5), 9_005);
  const { writes } = place;
  a.backend.cut();
  const failing = a.register(6).catch(({ code }) => code);
  await pass(6_000);
  assert.equal(await failing, "unavailable");
  assert.equal(place.writes, writes);
  a.backend.mend();
  // It was carried out after all, late.
  const entry = place.entry("alpha-5");
  assert.ok(entry !== undefined);
  place.putForeign({ ...entry, endpoint: endpointOf("alpha", 6), owner: "late" });
  await pass(500);
  assert.ok(b.ids.includes("alpha-6"));
  await pass(2 * TTL_MS);
  assert.ok(!b.ids.includes("alpha-6") && !place.ids.includes("alpha-6"));
  await close();
});

test("consistent: a registration whose answer was lost, and that was replaced meanwhile, is not made again over what came later", async () => {
  const { place, a, b, pass, close } = await two("consistent");
  place.swallow = 1;
  const registering = a.register(1, 9_001).catch(({ code, reason }) => `${code} ${reason}`);
  for (let i = 0; i < 5 && place.entry("alpha-1")?.endpoint.port !== 9_001; i++) await null;
  assert.equal(place.entry("alpha-1")?.endpoint.port, 9_001, "carried out, and its answer lost");
  await turn();
  const later = b.register(1, 9_002);
  await pass(500);
  await later;
  assert.equal(await registering, "aborted OUTCOME_UNKNOWN");
  assert.equal(place.entry("alpha-1")?.endpoint.port, 9_002);
  await close();
});

test("a registration whose caller was told that it failed is not tried any more, over what was registered since", async () => {
  const { clock, place, a, b, pass, close } = await two();
  const { delay } = place;
  // It is told just in time that somebody else was there first, and looks who that is.
  place.delay = () => 2_600;
  const late = a.register(5, 9_005).catch(({ code }) => code);
  place.putForeign({
    endpoint: endpointOf("alpha", 5, { port: 9_006 }),
    check: "healthy",
    owner: "first",
    plane: b.backend.plane,
    ttlMs: TTL_MS,
  });
  clock.advance(2_600);
  await turn();
  clock.advance(2_400);
  assert.equal(await late, "unavailable");
  place.delay = delay;
  await a.register(5, 9_007);
  await pass(20_000);
  assert.deepEqual([a.portOf(5), b.portOf(5), place.entry("alpha-5")?.endpoint.port], [9_007, 9_007, 9_007]);
  assert.deepEqual([a.refused, a.left, b.left], [[], [], []]);
  await close();
});

test("a registration whose answer was lost, found with what a check found of it since, is shown so", async () => {
  const { place, a, b, pass, close } = await two();
  await pass(600);
  place.swallow = 1;
  // Of the check its own control plane is told late.
  const delays = [20, 20, 20, 20, 20, 1_000];
  place.delay = () => delays.shift() ?? 20;
  const registering = a.register(5);
  await pass(100);
  const checking = b.registry.setHealth("alpha-5", "unhealthy", "refused", "check");
  await pass(3_000);
  await Promise.all([registering, checking]);
  place.delay = null;
  for (const { registry } of [a, b]) {
    const { endpoints } = await registry.query(["alpha"]);
    assert.equal(endpoints.find(({ id }) => id === "alpha-5")?.health, "unhealthy");
  }
  await close();
});

test("a check of what is registered at that moment is not only known here", async () => {
  const { place, a, b, pass, close } = await two("consistent");
  place.delay = () => 100;
  // Asked for before it is there, answered after it was told.
  const checking = b.registry.setHealth("alpha-5", "unhealthy", "refused", "check");
  await pass(100);
  place.delay = () => 0;
  const registering = a.register(5);
  await pass(1_000);
  await Promise.all([checking, registering]);
  const healthAt = async ({ registry }: Plane) =>
    (await registry.query(["alpha"])).endpoints.find(({ id }) => id === "alpha-5")?.health;
  place.delay = null;
  assert.deepEqual([await healthAt(a), await healthAt(b)], ["unhealthy", "unhealthy"]);
  assert.equal(place.entry("alpha-5")?.check, "unhealthy");
  await close();
});

/** What `work` writes is told soon, and answered a second later. */
async function answeredLate<T>(place: SharedPlace, pass: (ms: number) => Promise<void>, work: () => Promise<T>) {
  const delays = [20, 20, 20, 1_000]; // there; told to both; back
  place.delay = () => delays.shift() ?? 20;
  const working = work();
  await pass(100);
  return working;
}

test("what is removed before a check of it is answered does not come back", async () => {
  const { place, a, b, pass, close } = await two();
  const lease = await b.register(3);
  await pass(600);
  b.forget(3);
  const checking = answeredLate(place, pass, () => a.registry.setHealth("alpha-3", "unhealthy", "refused", "check"));
  await pass(150);
  const releasing = lease.release();
  await pass(3_000);
  await Promise.all([checking, releasing]);
  assert.deepEqual([a.ids, b.ids, place.ids], Array(3).fill("alpha-1 alpha-2 alpha-4"));
  place.delay = null;
  await close();
});

test("what is removed before its registration, or what puts it back, is answered, is put there once more", async () => {
  const { place, a, b, pass, close } = await two();
  await pass(600);
  const registering = answeredLate(place, pass, () => a.register(5));
  await pass(150);
  place.takeAway(["alpha-5"]);
  await pass(3_000);
  await registering;
  const FIVE = `${FOUR} alpha-5`;
  assert.deepEqual([a.ids, b.ids, place.ids], [FIVE, FIVE, FIVE]);
  await pass(550);
  const delays = [20, 20, 20, 20, 20, 1_000];
  place.delay = () => delays.shift() ?? 20;
  place.takeAway(["alpha-1"]);
  await pass(200);
  place.takeAway(["alpha-1"]);
  await pass(3_000);
  assert.deepEqual([a.ids, b.ids, place.ids], [FIVE, FIVE, FIVE]);
  assert.deepEqual([a.refused, a.left, b.left], [[], [], []]);
  place.delay = null;
  await close();
});

test("what others than weft put there is read, checked here alone, and never written", async () => {
  const { place, a, b, pass, close } = await two();
  const foreign = {
    endpoint: endpointOf("beta", 1),
    check: "healthy",
    owner: "",
    plane: "",
    ttlMs: Number.POSITIVE_INFINITY,
  } as const;
  place.putForeign(foreign);
  await pass(500);
  const { writes } = place;
  await a.registry.setHealth("beta-1", "unhealthy", "refused", "check");
  assert.equal((await a.registry.query(["beta"])).endpoints[0].health, "unhealthy");
  assert.equal((await b.registry.query(["beta"])).endpoints[0].health, "healthy");
  // It stays so, whatever else changes there.
  place.putForeign({ ...foreign, endpoint: endpointOf("beta", 1, { port: 9_001 }) });
  await pass(500);
  const [changed] = (await a.registry.query(["beta"])).endpoints;
  assert.deepEqual([changed.health, changed.port], ["unhealthy", 9_001]);
  await a.registry.setHealth("beta-1", "healthy", "answers", "check");
  assert.equal((await a.registry.query(["beta"])).endpoints[0].health, "healthy");
  assert.equal(place.writes, writes + 1, "more than the foreign one's own change was written");
  await close();
});

test("a wall clock that jumps an hour changes nothing", async () => {
  const clock = new VirtualClock();
  const jumped = {
    now: () => clock.now(),
    after: clock.after.bind(clock),
    wallMs: () => clock.wallMs() + (clock.now() > 4_000 ? 3_600_000 : 0),
  };
  const place = new SharedPlace(clock);
  const registry = await openBackedRegistry({ backend: place.backend(), clock: jumped, random: seededRandom(3) });
  const lease = await registry.register(endpointOf("alpha", 1), TTL_MS);
  for (let i = 0; i < 10; i++) {
    await pass(clock, 1_000);
    await lease.renew();
  }
  assert.equal((await registry.query(["alpha"])).endpoints.length, 1);
  await registry.close();
});

test("opening says who does not answer, and refuses what is refused", async () => {
  const clock = new VirtualClock();
  const backend = methodsOf(new SharedPlace(clock).backend());
  const opening = openBackedRegistry({ backend: { ...backend, follow: () => new Promise(() => {}) }, clock }).catch(
    (error) => error,
  );
  await pass(clock, 10_000);
  const error = await opening;
  assert.ok(error instanceof WeftError && error.code === "unavailable");
  assert.match(error.message, /a place in memory does not answer/);
  const refused = async () => {
    throw new WeftError("unauthenticated", "no");
  };
  await assert.rejects(openBackedRegistry({ backend: { ...backend, follow: refused }, clock }), {
    code: "unauthenticated",
  });
});

function methodsOf(backend: PlaceBackend) {
  return {
    name: backend.name,
    follow: backend.follow.bind(backend),
    replace: backend.replace.bind(backend),
    remove: backend.remove.bind(backend),
    get: backend.get.bind(backend),
    read: backend.read.bind(backend),
    close: backend.close.bind(backend),
  };
}
