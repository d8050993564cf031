import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VirtualClock } from "../core/clock.ts";
import type { Health } from "../core/endpoint.ts";
import { toWeftError } from "../core/errors.ts";
import { type Random, seededRandom } from "../core/random.ts";
import { openBackedRegistry } from "./backed-registry.ts";
import { visibleOf } from "./endpoint-value.ts";
import { endpointOf } from "./registry.case.ts";
import type { ConsistencyMode, Lease, Registry } from "./registry.ts";
import { type PlaceBackend, SharedPlace } from "./shared-place.case.ts";

/**
 * Processes that register at control planes over one place, while all of it is hurt, in any order that chance finds:
 *
 *  R1 what is renewed leaves no view, and nobody is told that a lease is over that nobody took;
 *  R2 what is not renewed leaves all views and the place, and what is registered is in all of them, the same everywhere;
 *  R3 when all is quiet nothing is written.
 */
class World {
  readonly clock = new VirtualClock();
  readonly place = new SharedPlace(this.clock);
  readonly random: Random;
  readonly planes: Plane[] = [];
  readonly processes: Process[] = [];
  /** What must not be. */
  readonly wrong: string[] = [];
  readonly log: string[] = [];
  #port = 9_000;

  private constructor(seed: number) {
    this.random = seededRandom(seed);
    this.place.delay = () => MAX_DELAY_MS * this.random.next() ** 2;
  }

  static async open(mode: ConsistencyMode, seed: number): Promise<World> {
    const world = new World(seed);
    for (let i = 0; i < PLANES; i++) {
      const opening = Plane.open(world, `plane ${i}`, mode);
      await world.pass(2 * MAX_DELAY_MS);
      world.planes.push(await opening);
    }
    for (let i = 0; i < PROCESSES; i++) world.processes.push(new Process(world, i));
    return world;
  }

  get now(): number {
    return this.clock.now();
  }

  port(): number {
    return ++this.#port;
  }

  say(text: string): void {
    this.log.push(`${this.now} ${text}`);
  }

  blame(text: string): void {
    this.say(`WRONG ${text}`);
    this.wrong.push(text);
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      await turn();
      this.clock.advance(Math.min(STEP_MS, left));
    }
    await turn();
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve));
  }

  async close(): Promise<void> {
    for (const process of this.processes) process.end();
    for (const { registry } of this.planes) {
      const closing = registry.close();
      await this.pass(2 * MAX_DELAY_MS);
      await closing;
    }
  }
}

class Plane {
  readonly name: string;
  readonly registry: Registry;
  readonly backend: PlaceBackend;
  readonly view = new Map<string, string>();
  readonly #world: World;
  /** What keeps it from the place. */
  #cuts = 0;
  /** Since when nothing does. */
  #mendedAt = 0;
  /** Others take it for dead, or did until a moment ago. */
  deadUntil = Number.NEGATIVE_INFINITY;
  /** It does not know what others registered. */
  blindUntil = Number.NEGATIVE_INFINITY;

  static async open(world: World, name: string, mode: ConsistencyMode): Promise<Plane> {
    const { clock, place, random } = world;
    const backend = place.backend();
    const leases = { protectionMinimum: 1_000 };
    return new Plane(world, name, backend, await openBackedRegistry({ backend, mode, clock, random, leases }));
  }

  private constructor(world: World, name: string, backend: PlaceBackend, registry: Registry) {
    this.#world = world;
    this.name = name;
    this.backend = backend;
    this.registry = registry;
    let last = -1;
    registry.watch(["*"], ({ endpointVersion, full, removed, changed }) => {
      if (endpointVersion <= last) world.blame(`${name}: an endpoint version did not grow`);
      last = endpointVersion;
      const before = [...this.view.keys()];
      if (full) this.view.clear();
      for (const { id } of removed) this.view.delete(id);
      for (const { id, port, health } of changed) this.view.set(id, `${id}:${port} ${health}`);
      for (const id of before) if (!this.view.has(id)) world.processes.find((process) => process.id === id)?.left(this);
      world.say(`${name} sees ${full ? "all: " : ""}${this.seen}`);
    });
  }

  cut(): void {
    this.#cuts++;
    this.#mendedAt = Number.POSITIVE_INFINITY;
    this.blindUntil = Number.POSITIVE_INFINITY;
  }

  mend(): void {
    if (--this.#cuts > 0) return;
    this.#world.say(`${this.name} is back`);
    this.#mendedAt = this.#world.now;
    this.blindUntil = this.#world.now + 2 * MAX_DELAY_MS;
    this.backend.mend();
  }

  /** Others had to wait for it longer than they hold what was lost. */
  isLate(plane: Plane): boolean {
    return this.#mendedAt - plane.#mendedAt > 2_000 && this.#world.now < this.#mendedAt + 2_000;
  }

  get seen(): string {
    return [...this.view.values()].sort().join(", ");
  }
}

/** It registers at one plane at a time, renews there, and registers again when it is told to. */
class Process {
  readonly id: string;
  readonly #world: World;
  readonly #number: number;
  #plane: Plane | null = null;
  #lease: Lease | null = null;
  #port = 0;
  /** When it last was told that it is registered. */
  #aliveAt = Number.NEGATIVE_INFINITY;
  /** Of what it wants. */
  #wish = 0;
  #ended = false;
  /** Where it ever was. */
  readonly #planes = new Set<Plane>();
  #registering: Promise<void> = Promise.resolve();

  constructor(world: World, number: number) {
    this.#world = world;
    this.#number = number;
    this.id = `alpha-${number}`;
    this.#beat();
  }

  /** Where it is to be found when all is quiet. */
  get place(): string | null {
    return this.#plane === null ? null : `${this.id}:${this.#port}`;
  }

  async register(plane: Plane): Promise<void> {
    const wish = ++this.#wish;
    const before = this.#registering;
    let done = (): void => {};
    this.#registering = new Promise((resolve) => {
      done = resolve;
    });
    await before;
    if (wish === this.#wish) await this.#register(plane, wish);
    done();
  }

  async #register(plane: Plane, wish: number): Promise<void> {
    const world = this.#world;
    this.#plane = plane;
    this.#planes.add(plane);
    this.#lease = null;
    this.#port = world.port();
    const endpoint = endpointOf("alpha", this.#number, { port: this.#port });
    world.say(`${this.id} registers at ${plane.name} as ${this.#port}`);
    while (wish === this.#wish && !this.#ended) {
      try {
        const lease = await plane.registry.register(endpoint, TTL_MS);
        if (wish !== this.#wish) return;
        world.say(`${this.id} is registered as ${this.#port}`);
        this.#aliveAt = world.now;
        this.#lease = lease;
        return;
      } catch (thrown) {
        world.say(`${this.id} is not registered: ${toWeftError(thrown).message}`);
        await world.wait(200);
      }
    }
  }

  async release(): Promise<void> {
    const lease = this.#lease;
    if (lease === null) return;
    this.forget();
    this.#world.say(`${this.id} releases ${this.#port}`);
    await lease.release().catch(() => {});
  }

  forget(): void {
    if (this.#lease === null) return;
    this.#world.say(`${this.id} is renewed no more`);
    this.#wish++;
    this.#plane = null;
    this.#lease = null;
  }

  async health(health: Health, by: "owner" | "check", plane: Plane): Promise<void> {
    const there = by === "owner" ? this.#plane : plane;
    if (there === null) return;
    this.#world.say(`${this.id} is ${health}, says its ${by} at ${there.name}`);
    await there.registry.setHealth(this.id, health, "said", by).catch(({ code, message }) => {
      this.#world.say(`${this.id} is not ${health}: ${code} ${message}`);
    });
  }

  left(plane: Plane): void {
    const own = this.#plane;
    if (own === null || this.#lease === null || this.#world.now - this.#aliveAt >= TTL_MS / 2) return;
    if (plane !== own && (this.#world.now < own.deadUntil || own.isLate(plane))) return;
    // Its earlier lease there ran out, and nobody could say that there is a later one elsewhere.
    if (plane !== own && this.#world.now < plane.blindUntil && this.#planes.has(plane)) return;
    this.#world.blame(`${this.id} left ${plane.name}`);
  }

  end(): void {
    this.#ended = true;
  }

  #beat(): void {
    this.#world.clock.after(TTL_MS / 3, () => {
      const lease = this.#lease;
      const plane = this.#plane;
      if (this.#ended) return;
      lease?.renew().then(
        () => {
          if (this.#lease === lease) this.#aliveAt = this.#world.now;
        },
        ({ reason }) => {
          if (lease !== this.#lease || plane === null) return;
          this.#world.say(`${this.id} is told ${reason}`);
          if (plane.registry.mode === "available" || this.#world.now >= plane.deadUntil)
            this.#world.blame(`${this.id} was told ${reason}`);
          void this.register(plane);
        },
      );
      this.#beat();
    });
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const PLANES = 3;
const PROCESSES = 4;
const TTL_MS = 3_000;
const STEP_MS = 50;
/** The same worlds each time: one that found a fault is a test of its own (backed-registry.test.ts). Another seed, and more runs, look for the next. */
const LOOK = { seed: 6, numRuns: 60 };
const MAX_DELAY_MS = 400;

type Step = (world: World) => Promise<void> | void;
const aPlane = fc.nat(PLANES - 1);
const aProcess = fc.nat(PROCESSES - 1);
const quick = (what: string, run: (world: World) => unknown): [string, Step] => [what, (world) => void run(world)];

const aStep: fc.Arbitrary<[string, Step]> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(aProcess, aPlane)
      .map(([n, p]) => quick(`register ${n} at ${p}`, ({ processes, planes }) => processes[n].register(planes[p]))),
  },
  { weight: 2, arbitrary: aProcess.map((n) => quick(`release ${n}`, ({ processes }) => processes[n].release())) },
  { weight: 1, arbitrary: aProcess.map((n) => quick(`forget ${n}`, ({ processes }) => processes[n].forget())) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(aProcess, aPlane, fc.constantFrom("healthy", "unhealthy", "draining"), fc.constantFrom("owner", "check"))
      .map(([n, p, health, by]) =>
        quick(`${n} is ${health} by ${by} at ${p}`, ({ processes, planes }) =>
          processes[n].health(health as Health, by as "owner", planes[p]),
        ),
      ),
  },
  { weight: 1, arbitrary: fc.constant(quick("swallow", ({ place }) => place.swallow++)) },
  {
    weight: 2,
    arbitrary: fc.tuple(aPlane, fc.integer({ min: 0, max: 8_000 }), fc.boolean()).map(([p, ms, dead]) =>
      quick(`cut ${p} ${ms} ${dead}`, async (world) => {
        const { backend, name } = world.planes[p];
        world.say(`${name} is cut off`);
        backend.cut();
        world.planes[p].cut();
        if (dead) {
          world.planes[p].deadUntil = Number.POSITIVE_INFINITY;
          world.place.live(backend.plane, false);
        }
        await world.wait(ms);
        world.planes[p].mend();
        if (!dead) return;
        world.place.live(backend.plane, true);
        world.planes[p].deadUntil = world.now + 2_000;
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.boolean(),
        fc.integer({ min: 0, max: 3_000 }),
        fc.array(fc.integer({ min: 0, max: 800 }), { minLength: PLANES, maxLength: PLANES }),
      )
      .map(([unnoticed, ms, more]) =>
        quick(`lose ${unnoticed} ${ms} ${more}`, async (world) => {
          world.say(`data lost${unnoticed ? ", which nobody notices" : ""}`);
          world.place.lose(unnoticed);
          for (const plane of world.planes) plane.cut();
          await world.wait(ms);
          for (const [i, plane] of world.planes.entries()) void world.wait(more[i]).then(() => plane.mend());
        }),
      ),
  },
  {
    weight: 6,
    arbitrary: fc
      .integer({ min: 0, max: 2_000 })
      .map((ms): [string, Step] => [`pass ${ms}`, (world) => world.pass(ms)]),
  },
);

for (const mode of ["available", "consistent"] as const)
  test(`${mode}: whatever is hurt, R1 what is renewed stays, R2 what is not goes, R3 and then all is quiet`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.array(aStep, { maxLength: 30 }), async (seed, steps) => {
        const world = await World.open(mode, seed);
        for (const [, step] of steps) await step(world);
        await world.pass(9_000);
        for (const { backend } of world.planes) {
          backend.mend();
          world.place.live(backend.plane, true);
        }
        await world.pass(20_000);
        const { writes } = world.place;
        await world.pass(2_000);
        const { wrong, planes, place, processes, log } = world;
        const there = place
          .all()
          .map(({ entry }) => visibleOf(entry))
          .map(({ id, port, health }) => `${id}:${port} ${health}`)
          .sort()
          .join(", ");
        for (const { name, seen } of planes)
          if (seen !== there) world.blame(`${name} sees ${seen}, and there is ${there}`);
        const wanted = processes.map(({ place }) => place).filter((place) => place !== null);
        const found = place.all().map(({ entry: { endpoint } }) => `${endpoint.id}:${endpoint.port}`);
        if (found.sort().join() !== wanted.sort().join()) world.blame(`there is ${found}, wanted ${wanted}`);
        if (place.writes !== writes) world.blame(`${place.writes - writes} writes when all is quiet`);
        await world.close();
        assert.deepEqual(wrong, [], `${log.join("\n")}\nsteps: ${steps.map(([what]) => what).join("; ")}\n`);
      }),
      LOOK,
    );
  });
