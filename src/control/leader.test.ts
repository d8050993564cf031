import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { type Cancel, type Clock, VirtualClock } from "../core/clock.ts";
import { seededRandom } from "../core/random.ts";
import { ANY, type KeyValue } from "../settings/key-value.ts";
import { MemoryKeyValue } from "../settings/memory-key-value.ts";
import { createLeader, type Leader } from "./leader.ts";

const LEASE_MS = 6_000;

/** A process with a clock that runs at a rate of its own, and that can be paused: then nothing that it waits for happens until it goes on. */
class Process implements Clock {
  readonly #base: VirtualClock;
  readonly #rate: number;
  readonly #waiting: (() => void)[] = [];
  paused = false;

  constructor(base: VirtualClock, rate = 1) {
    this.#base = base;
    this.#rate = rate;
  }

  now(): number {
    return 1_000 + this.#base.now() * this.#rate;
  }

  wallMs(): number {
    return 0; // nobody is to trust it
  }

  after(delayMs: number, fire: () => void): Cancel {
    let cancelled = false;
    const cancel = this.#base.after(delayMs / this.#rate, () => this.run(() => cancelled || fire()));
    return () => {
      cancelled = true;
      cancel();
    };
  }

  run(step: () => void): void {
    if (this.paused) this.#waiting.push(step);
    else step();
  }

  resume(): void {
    this.paused = false;
    for (const step of this.#waiting.splice(0)) step();
  }
}

/** The shared store, as a process reaches it: with delays both ways, and cut off at times. */
function reached(
  store: KeyValue,
  process: Process,
  base: VirtualClock,
  delayMs: () => number,
  cut: () => boolean,
): KeyValue {
  const carried = <T>(body: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      base.after(delayMs(), () => {
        if (cut()) return void base.after(delayMs(), () => process.run(() => reject(new Error("cut off"))));
        const answered = (settle: () => void) => {
          base.after(delayMs(), () => (cut() ? undefined : process.run(settle))); // lost: nothing is ever heard
        };
        body().then(
          (value) => answered(() => resolve(value)),
          (thrown) => answered(() => reject(thrown)),
        );
      });
    });
  return {
    get: (key) => carried(() => store.get(key)),
    list: (prefix) => carried(() => store.list(prefix)),
    keys: (prefix) => carried(() => store.keys(prefix)),
    put: (...put) => carried(() => store.put(...put)),
    delete: (...asked) => carried(() => store.delete(...asked)),
    watch: (...watch) => store.watch(...watch),
    close: async () => {},
  };
}

class World {
  readonly clock = new VirtualClock();
  readonly store = new MemoryKeyValue();
  readonly processes: { readonly process: Process; readonly leader: Leader; cut: boolean }[] = [];

  add(rate = 1, delayMs: () => number = () => 5): void {
    const process = new Process(this.clock, rate);
    const added = { process, leader: null as unknown as Leader, cut: false };
    const store = reached(this.store, process, this.clock, delayMs, () => added.cut);
    added.leader = createLeader({ store, id: `p${this.processes.length}`, clock: process, leaseMs: LEASE_MS });
    this.processes.push(added);
  }

  /** The store's data, of which everybody has seen something. */
  async lose(): Promise<void> {
    if (this.processes.every(({ leader }) => leader.holder !== "")) await this.store.delete("leader", ANY);
  }

  /** Those that would act now. */
  get leaders(): number[] {
    return [...this.processes.keys()].filter(
      (n) => !this.processes[n].process.paused && this.processes[n].leader.leading,
    );
  }

  async pass(ms: number, each: () => void = () => {}): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      this.clock.advance(STEP_MS);
      await settled();
      each();
    }
  }
}

const STEP_MS = 50;
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test("one of several leads, renews, and releases when it closes", async () => {
  const world = new World();
  for (let n = 0; n < 3; n++) world.add();
  const changes: boolean[] = [];
  await world.pass(1_000);
  const [first] = world.leaders;
  assert.equal(world.leaders.length, 1);
  world.processes[first].leader.onChange((leading) => changes.push(leading));
  await world.pass(60_000, () => assert.deepEqual(world.leaders, [first]));
  for (const { leader } of world.processes) assert.equal(leader.holder, `p${first}`);
  const closing = world.processes[first].leader.close();
  assert.deepEqual(changes, [false]);
  await world.pass(2_000);
  await closing;
  assert.equal(world.leaders.length, 1);
  assert.notEqual(world.leaders[0], first);
});

test("a leader that closes while it renews lets another one begin at once, too", async () => {
  for (let n = 0; n < 50; n++) {
    const world = new World();
    for (let each = 0; each < 2; each++) world.add(1, () => 400);
    await world.pass(8_000 + n * STEP_MS);
    const [first] = world.leaders;
    const closing = world.processes[first].leader.close();
    // What is under way, the release, a look and a put.
    await world.pass(5_000);
    await closing;
    assert.deepEqual(world.leaders, [1 - first], `closed after ${8_000 + n * STEP_MS} ms`);
  }
});

test("a leader that is paused does not lead when it goes on, and another one leads within the lease and a look", async () => {
  const world = new World();
  for (let n = 0; n < 3; n++) world.add();
  await world.pass(1_000);
  const [first] = world.leaders;
  world.processes[first].process.paused = true;
  await world.pass(LEASE_MS + LEASE_MS / 3);
  assert.equal(world.leaders.length, 1);
  const [second] = world.leaders;
  assert.notEqual(second, first);
  world.processes[first].process.resume();
  assert.deepEqual(world.leaders, [second], "at the first instant");
  await world.pass(20_000, () => assert.deepEqual(world.leaders, [second]));
});

test("a leader that is cut off from the store stops before another one begins, and tells", async () => {
  const world = new World();
  for (let n = 0; n < 2; n++) world.add();
  await world.pass(1_000);
  const [first] = world.leaders;
  let toldAt = 0;
  world.processes[first].leader.onChange(() => {
    toldAt = world.clock.now();
  });
  world.processes[first].cut = true;
  const cutAt = world.clock.now();
  let takenAt = 0;
  await world.pass(2 * LEASE_MS, () => {
    assert.ok(world.leaders.length <= 1);
    if (takenAt === 0 && world.leaders.length === 1 && world.leaders[0] !== first) takenAt = world.clock.now();
  });
  assert.ok(toldAt > cutAt && toldAt < takenAt, `told at ${toldAt - cutAt}, taken at ${takenAt - cutAt}`);
  assert.ok(takenAt - cutAt <= LEASE_MS + LEASE_MS / 3);
});

test("invariant 4: when the store loses its data, nobody begins before the one who leads knows", async () => {
  const world = new World();
  for (let n = 0; n < 3; n++) world.add();
  await world.pass(1_000);
  // At each moment between two renewals.
  for (let n = 0; n < 40; n++) {
    await world.pass(10_000 + n * STEP_MS, () => assert.ok(world.leaders.length <= 1));
    assert.equal(world.leaders.length, 1);
    await world.lose();
  }
});

test("invariant 1: never two lead at one instant, whatever is slow, paused or cut off; when that is over, one does", async () => {
  const trouble = fc.record({
    who: fc.nat(2),
    what: fc.constantFrom("pause", "resume", "cut", "mend", "close", "lose"),
    afterMs: fc.integer({ min: 0, max: 9_000 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(trouble, { maxLength: 12 }),
      fc.array(fc.double({ min: 0.95, max: 1.05, noNaN: true }), { minLength: 3, maxLength: 3 }),
      fc.integer({ min: 1, max: 1_500 }),
      fc.nat(),
      async (troubles, rates, slowMs, seed) => {
        const world = new World();
        const random = seededRandom(seed);
        for (const rate of rates) world.add(rate, () => random.next() * slowMs);
        const one = () => assert.ok(world.leaders.length <= 1, `p${world.leaders.join(" and p")} lead`);
        const closed = new Set<number>();
        for (const { who, what, afterMs } of troubles) {
          await world.pass(afterMs, one);
          const { process, leader } = world.processes[who];
          if (what === "pause") process.paused = true;
          else if (what === "resume") process.resume();
          else if (what === "lose") await world.lose();
          else if (what === "close" && closed.size < 2 && !process.paused) {
            closed.add(who);
            void leader.close();
          } else world.processes[who].cut = what === "cut";
          one();
        }
        for (const each of world.processes) {
          each.process.resume();
          each.cut = false;
        }
        one();
        await world.pass(3 * LEASE_MS, one);
        let led = false;
        await world.pass(LEASE_MS, () => {
          one();
          // A renewal over a line so slow may come a moment after the end of what it renews.
          led ||= world.leaders.length === 1;
        });
        if (slowMs < 900) assert.ok(led, "nobody leads");
      },
    ),
    { numRuns: 60 },
  );
});

test("a record that cannot be read is nobody's", async () => {
  const world = new World();
  await world.store.put("leader", Buffer.from("nonsense"), "any");
  world.add();
  await world.pass(1_000);
  assert.deepEqual(world.leaders, [0]);
});
