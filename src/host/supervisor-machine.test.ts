import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Random, seededRandom } from "../core/random.ts";
import { SupervisorMachine } from "./supervisor-machine.ts";
import type { SupervisorEffect, SupervisorOptions, UnitSpec } from "./supervisor-types.ts";

function unit(name: string, more: Partial<UnitSpec> = {}): UnitSpec {
  return {
    name,
    prefix: name,
    replicas: 1,
    needs: [],
    readyTimeoutMs: 5_000,
    drainMs: 2_000,
    restart: "always",
    replace: "rolling",
    ...more,
  };
}

/** Processes in virtual time: what the shell would do, and a record of it. */
class World {
  readonly machine: SupervisorMachine;
  readonly log: string[] = [];
  readonly alive = new Set<string>();
  readonly terminated = new Set<string>();
  readonly units: readonly UnitSpec[];
  now = 0;

  constructor(units: readonly UnitSpec[], options: SupervisorOptions = {}, random: Random = { next: () => 0 }) {
    this.units = units;
    this.machine = new SupervisorMachine(units, random, options);
  }

  /** Applies one event and carries out what follows. */
  do(event: (machine: SupervisorMachine) => void): readonly SupervisorEffect[] {
    event(this.machine);
    const effects = this.machine.take();
    for (const effect of effects) {
      if (effect.kind === "spawn") {
        assert.ok(!this.alive.has(effect.id), `S2: ${effect.id} has two processes`);
        this.alive.add(effect.id);
        this.terminated.delete(effect.id);
      }
      if (effect.kind === "terminate") this.terminated.add(effect.id);
      if (effect.kind !== "notice") this.log.push("id" in effect ? `${effect.kind} ${effect.id}` : effect.kind);
    }
    return effects;
  }

  start(): void {
    this.do((machine) => machine.start(this.now));
  }

  ready(...ids: string[]): void {
    for (const id of ids) this.do((machine) => machine.ready(id, this.now));
  }

  exit(id: string, reason = "exit status 1"): void {
    assert.ok(this.alive.delete(id), `${id} is not alive`);
    this.do((machine) => machine.exited(id, reason, this.now));
  }

  advance(ms: number): void {
    const until = this.now + ms;
    while (this.machine.wakeAt <= until) {
      this.now = Math.max(this.now, this.machine.wakeAt);
      this.do((machine) => machine.tick(this.now));
    }
    this.now = until;
  }

  stop(): void {
    this.do((machine) => machine.stop(this.now));
  }

  take(): string[] {
    return this.log.splice(0);
  }
}

test("S1: units start in the order of their needs, replicas together", () => {
  const world = new World([
    unit("gateway", { needs: ["orders", "users"] }),
    unit("orders", { needs: ["stock"], replicas: 2 }),
    unit("stock"),
    unit("users"),
  ]);
  world.start();
  assert.deepEqual(world.take(), ["spawn stock-1", "spawn users-1"]);
  world.ready("stock-1");
  assert.deepEqual(world.take(), ["spawn orders-1", "spawn orders-2"]);
  world.ready("orders-1", "users-1");
  assert.deepEqual(world.take(), []);
  world.ready("orders-2");
  assert.deepEqual(world.take(), ["spawn gateway-1"]);
  world.ready("gateway-1");
  assert.deepEqual(world.take(), ["ready"]);
});

test("S3: back-off doubles up to its maximum and starts anew after a stable time", () => {
  const world = new World([unit("a", { readyTimeoutMs: 1e9 })], {
    backoffMinMs: 100,
    backoffMaxMs: 400,
    stableMs: 1_000,
    startAttempts: 100,
  });
  world.start();
  for (const expected of [100, 200, 400, 400]) {
    world.exit("a-1");
    assert.equal(world.machine.wakeAt - world.now, expected);
    world.advance(expected);
  }
  world.ready("a-1");
  world.now += 999;
  world.exit("a-1");
  assert.equal(world.machine.wakeAt - world.now, 400, "not yet stable");
  world.advance(400);
  world.ready("a-1");
  world.now += 1_000;
  world.exit("a-1");
  assert.equal(world.machine.wakeAt - world.now, 100);
  assert.equal(world.machine.instance("a-1")?.restarts, 6);
});

test("S3: jitter takes away up to half of the back-off", () => {
  const world = new World([unit("a")], { backoffMinMs: 1_000 }, { next: () => 0.999_999 });
  world.start();
  world.exit("a-1");
  assert.ok(Math.abs(world.machine.wakeAt - 500) < 1);
});

test("S4: an instance that keeps exiting while the system starts stops everything and says why", () => {
  const world = new World([unit("a"), unit("b")], { startAttempts: 3 });
  world.start();
  world.ready("b-1");
  for (let i = 0; i < 2; i++) {
    world.exit("a-1");
    world.advance(1_000);
  }
  world.take();
  world.exit("a-1");
  assert.equal(world.machine.failure, "a-1 did not start: exit status 1, 3 times in a row");
  assert.deepEqual(world.take(), ["terminate b-1"]);
  world.exit("b-1", "exit status 0");
  assert.deepEqual(world.take(), ["stopped"]);
});

test("S4: an instance that is never ready stops everything and says why", () => {
  const world = new World([unit("a", { readyTimeoutMs: 3_000 })]);
  world.start();
  world.advance(1_000);
  world.exit("a-1");
  world.advance(2_000);
  assert.equal(world.machine.failure, "a-1 is not healthy within 3 s (last: exit status 1)");
  assert.equal(world.machine.phase, "stopping");
  world.exit("a-1");
  assert.equal(world.machine.phase, "stopped");
});

test("a crash after the start is never given up", () => {
  const world = new World([unit("a")], { startAttempts: 2 });
  world.start();
  world.ready("a-1");
  for (let i = 0; i < 20; i++) {
    world.exit("a-1");
    world.advance(30_000);
  }
  assert.equal(world.machine.phase, "ready");
  assert.ok(world.alive.has("a-1"));
});

test("an instance that hangs in a later start is killed and tried again", () => {
  const world = new World([unit("a", { readyTimeoutMs: 3_000 })]);
  world.start();
  world.ready("a-1");
  world.exit("a-1");
  world.advance(250);
  world.take();
  world.advance(3_000);
  assert.deepEqual(world.take(), ["kill a-1"]);
  world.exit("a-1", "killed by SIGKILL");
  assert.equal(world.machine.instance("a-1")?.lastReason, "not healthy within 3 s");
  assert.equal(world.machine.instance("a-1")?.state, "backoff");
});

test("S5: a rolling replacement starts each new instance before it drains the old one", () => {
  const world = new World([unit("a", { replicas: 2 })]);
  world.start();
  world.ready("a-1", "a-2");
  world.take();
  assert.ok(world.machine.restart("a", world.now));
  world.do(() => {});
  assert.deepEqual(world.take(), ["spawn a-3"]);
  world.ready("a-3");
  assert.deepEqual(world.take(), ["terminate a-1"]);
  world.exit("a-1", "exit status 0");
  assert.deepEqual(world.take(), ["spawn a-4"]);
  world.ready("a-4");
  assert.deepEqual(world.take(), ["terminate a-2"]);
  world.exit("a-2", "exit status 0");
  assert.deepEqual(
    [...world.machine.instances].map((instance) => `${instance.id} ${instance.state}`),
    ["a-3 ready", "a-4 ready"],
  );
  assert.ok(world.machine.restart("a", world.now), "may be replaced again");
});

test("S5: a new instance that does not get ready is given up and the old one stays", () => {
  const world = new World([unit("a")]);
  world.start();
  world.ready("a-1");
  world.machine.restart("a", world.now);
  world.do(() => {});
  world.take();
  world.alive.delete("a-2");
  const effects = world.do((machine) => machine.exited("a-2", "exit status 1", world.now));
  assert.ok(
    effects.some(
      (effect) => effect.kind === "notice" && effect.type === "replace-failed" && effect.text.includes("a-1 stays"),
    ),
  );
  assert.deepEqual(world.take(), []);
  assert.deepEqual(
    [...world.machine.instances].map((instance) => instance.id),
    ["a-1"],
  );
});

test("S5: a new instance that crashes after the old one was told to end is all there is, and started again", () => {
  const world = new World([unit("a")]);
  world.start();
  world.ready("a-1");
  world.machine.restart("a", world.now);
  world.do(() => {});
  world.ready("a-2");
  world.exit("a-2");
  world.advance(250);
  world.exit("a-2");
  world.exit("a-1", "exit status 0");
  world.advance(500);
  world.ready("a-2");
  assert.deepEqual(
    [...world.machine.instances].map(({ id, state }) => `${id} ${state}`),
    ["a-2 ready"],
  );
  assert.ok(world.machine.restart("a", world.now), "the replacement is over");
});

test("S9: an instance that is replaced while it waits to be started again takes its companion with it", () => {
  const world = new World([{ ...BESIDE[0], replicas: 1 }, BESIDE[1]]);
  world.start();
  world.ready("orders-1-sidecar", "orders-1");
  world.exit("orders-1");
  world.machine.restart("orders", world.now);
  world.do(() => {});
  world.take();
  world.ready("orders-2-sidecar", "orders-2");
  assert.deepEqual(world.take(), ["spawn orders-2", "terminate orders-1-sidecar"]);
});

test("what cannot run twice is ended first and started again under its name", () => {
  const world = new World([unit("control", { replace: "recreate" })]);
  world.start();
  world.ready("control-1");
  world.take();
  world.do((machine) => machine.restart("control", world.now));
  assert.deepEqual(world.take(), ["terminate control-1"]);
  world.exit("control-1", "exit status 0");
  assert.deepEqual(world.take(), ["spawn control-1"]);
  world.ready("control-1");
  assert.equal(world.machine.phase, "ready");
});

test("S6: stopping goes in reverse order of needs and ends what overstays", () => {
  const world = new World([
    unit("gateway", { needs: ["orders"] }),
    unit("orders", { needs: ["stock"] }),
    unit("stock"),
  ]);
  world.start();
  world.ready("stock-1", "orders-1", "gateway-1");
  world.take();
  world.stop();
  assert.deepEqual(world.take(), ["terminate gateway-1"]);
  world.exit("gateway-1", "exit status 0");
  assert.deepEqual(world.take(), ["terminate orders-1"]);
  world.advance(6_999);
  assert.deepEqual(world.take(), []);
  world.advance(1);
  assert.deepEqual(world.take(), ["kill orders-1"]);
  world.exit("orders-1", "killed by SIGKILL");
  world.exit("stock-1", "exit status 0");
  assert.deepEqual(world.take(), ["terminate stock-1", "stopped"]);
});

const BESIDE = [
  unit("orders", { needs: ["orders-sidecar"], replicas: 2 }),
  unit("orders-sidecar", { beside: { unit: "orders", suffix: "sidecar" }, replace: "recreate" }),
];

test("S9: companions are ready before their instances start, and end after them", () => {
  const world = new World(BESIDE);
  world.start();
  assert.deepEqual(world.take(), ["spawn orders-1-sidecar", "spawn orders-2-sidecar"]);
  world.ready("orders-1-sidecar", "orders-2-sidecar");
  assert.deepEqual(world.take(), ["spawn orders-1", "spawn orders-2"]);
  world.ready("orders-1", "orders-2");
  assert.deepEqual(world.take(), ["ready"]);
  world.stop();
  assert.deepEqual(world.take(), ["terminate orders-1", "terminate orders-2"]);
  world.exit("orders-1", "exit status 0");
  assert.deepEqual(world.take(), ["terminate orders-1-sidecar"]);
  world.exit("orders-1-sidecar", "exit status 0");
  world.exit("orders-2", "exit status 0");
  world.exit("orders-2-sidecar", "exit status 0");
  assert.deepEqual(world.take(), ["terminate orders-2-sidecar", "stopped"]);
});

test("S9: a companion that crashes is restarted alone, and so is its instance", () => {
  const world = new World(BESIDE);
  world.start();
  world.ready("orders-1-sidecar", "orders-2-sidecar", "orders-1", "orders-2");
  world.take();
  world.exit("orders-1-sidecar", "killed by SIGKILL");
  world.advance(250);
  assert.deepEqual(world.take(), ["spawn orders-1-sidecar"]);
  world.exit("orders-1");
  world.advance(250);
  assert.deepEqual(world.take(), ["spawn orders-1"], "it waits for nobody: its companion's addresses stay");
  world.ready("orders-1-sidecar", "orders-1");
  assert.ok(world.machine.restart("orders-sidecar", world.now));
  world.do(() => {});
  assert.deepEqual(world.take(), ["terminate orders-1-sidecar"]);
  world.exit("orders-1-sidecar", "exit status 0");
  assert.deepEqual(world.take(), ["spawn orders-1-sidecar"]);
});

test("S9: a rolling replacement brings each new instance its own companion", () => {
  const world = new World([{ ...BESIDE[0], replicas: 1 }, BESIDE[1]]);
  world.start();
  world.ready("orders-1-sidecar", "orders-1");
  world.take();
  world.machine.restart("orders", world.now);
  world.do(() => {});
  assert.deepEqual(world.take(), ["spawn orders-2-sidecar"]);
  world.ready("orders-2-sidecar");
  assert.deepEqual(world.take(), ["spawn orders-2"]);
  world.ready("orders-2");
  assert.deepEqual(world.take(), ["terminate orders-1"]);
  world.exit("orders-1", "exit status 0");
  assert.deepEqual(world.take(), ["terminate orders-1-sidecar"]);
  world.exit("orders-1-sidecar", "exit status 0");
  assert.deepEqual(
    [...world.machine.instances].map(({ id, state }) => `${id} ${state}`),
    ["orders-2-sidecar ready", "orders-2 ready"],
  );
  world.machine.restart("orders", world.now);
  world.do(() => {});
  world.take();
  world.alive.delete("orders-3-sidecar");
  world.do((machine) => machine.exited("orders-3-sidecar", "exit status 1", world.now));
  world.advance(60_000);
  assert.deepEqual(
    world.take(),
    [],
    "a companion that does not start ends the replacement, and the old instance stays",
  );
  assert.deepEqual(
    [...world.machine.instances].map(({ id }) => id),
    ["orders-2-sidecar", "orders-2"],
  );
});

test("S9: what cannot run twice ends with its companion before both start again under their names", () => {
  const world = new World([{ ...BESIDE[0], replicas: 1, replace: "recreate" }, BESIDE[1]]);
  world.start();
  world.ready("orders-1-sidecar", "orders-1");
  world.take();
  world.machine.restart("orders", world.now);
  world.do(() => {});
  world.exit("orders-1", "exit status 0");
  assert.deepEqual(world.take(), ["terminate orders-1", "terminate orders-1-sidecar"]);
  world.exit("orders-1-sidecar", "exit status 0");
  assert.deepEqual(world.take(), ["spawn orders-1-sidecar"]);
  world.ready("orders-1-sidecar", "orders-1");
  assert.deepEqual(
    [...world.machine.instances].map(({ id, state }) => `${id} ${state}`),
    ["orders-1-sidecar ready", "orders-1 ready"],
  );
});

test("S9: a companion that is being killed when its instance ends is not started again for it", () => {
  const world = new World([{ ...BESIDE[0], replicas: 1, replace: "recreate" }, BESIDE[1]]);
  world.start();
  world.ready("orders-1-sidecar", "orders-1");
  world.exit("orders-1-sidecar");
  world.advance(250);
  world.machine.restart("orders", world.now);
  world.do(() => {});
  world.advance(5_000);
  world.take();
  world.exit("orders-1");
  world.exit("orders-1-sidecar", "killed by SIGKILL");
  assert.deepEqual(world.take(), ["spawn orders-1-sidecar"]);
  world.ready("orders-1-sidecar", "orders-1");
  assert.equal(world.machine.instance("orders-1")?.state, "ready");
});

test("S9: a companion that is being replaced while its instance ends is not started again", () => {
  const world = new World([{ ...BESIDE[0], replicas: 1 }, BESIDE[1]]);
  world.start();
  world.ready("orders-1-sidecar", "orders-1");
  world.machine.restart("orders", world.now);
  world.do(() => {});
  world.ready("orders-2-sidecar", "orders-2");
  world.machine.restart("orders-sidecar", world.now);
  world.do(() => {});
  world.take();
  world.exit("orders-1", "exit status 0");
  world.exit("orders-1-sidecar", "exit status 0");
  assert.deepEqual(world.take(), ["terminate orders-2-sidecar"]);
});

test("S7: the second stop kills every process at once", () => {
  const world = new World([unit("b", { needs: ["a"] }), unit("a")]);
  world.start();
  world.ready("a-1", "b-1");
  world.stop();
  world.take();
  world.stop();
  assert.deepEqual(world.take(), ["kill b-1", "kill a-1"]);
  world.exit("a-1", "killed by SIGKILL");
  world.exit("b-1", "killed by SIGKILL");
  assert.deepEqual(world.take(), ["stopped"]);
});

test("a service that is not to be restarted stays ended", () => {
  const world = new World([unit("job", { restart: "never" })]);
  world.start();
  world.ready("job-1");
  world.exit("job-1", "exit status 0");
  world.advance(60_000);
  assert.equal(world.machine.instance("job-1")?.state, "exited");
  world.stop();
  assert.equal(world.machine.phase, "stopped");
});

test("S1 to S9 hold for any system under any course of events", () => {
  const system = fc.integer({ min: 1, max: 5 }).chain((count) =>
    fc.tuple(
      fc.array(
        fc.record({
          replicas: fc.integer({ min: 1, max: 3 }),
          needs: fc.array(fc.nat(), { maxLength: 2 }),
          recreate: fc.boolean(),
          beside: fc.boolean(),
        }),
        {
          minLength: count,
          maxLength: count,
        },
      ),
      fc.array(
        fc.tuple(
          fc.constantFrom("ready", "ready", "ready", "exit", "wait", "restart"),
          fc.nat(),
          fc.integer({ min: 0, max: 4_000 }),
        ),
        { maxLength: 80 },
      ),
      fc.integer(),
    ),
  );
  fc.assert(
    fc.property(system, ([shapes, events, seed]) => {
      const units = shapes.flatMap((shape, i) => {
        // Only earlier units are needed, so that there is no cycle.
        const needs = i === 0 ? [] : [...new Set(shape.needs.map((n) => `u${n % i}`))];
        const main = unit(`u${i}`, {
          replicas: shape.replicas,
          needs: shape.beside ? [...needs, `u${i}-side`] : needs,
          replace: shape.recreate ? "recreate" : "rolling",
        });
        const beside = { unit: `u${i}`, suffix: "side" };
        return shape.beside ? [main, unit(`u${i}-side`, { beside, replace: "recreate" })] : [main];
      });
      const world = new World(units, {}, seededRandom(seed));
      const state = (id: string) => world.machine.instance(id)?.state;
      const ofUnit = (name: string) => [...world.machine.instances].filter((instance) => instance.unitName === name);
      const checkedDo = world.do.bind(world);
      const started = new Set<string>();
      /** Companions that were asked to be replaced themselves. */
      const rolled = new Set<string>();
      world.do = (event) => {
        const effects = checkedDo(event);
        for (const effect of effects) {
          if (effect.kind === "spawn" && !started.has(effect.id)) {
            started.add(effect.id);
            const spec = units.find((candidate) => candidate.name === effect.unit) as UnitSpec;
            if (spec.needs.includes(`${spec.name}-side`)) assert.equal(state(`${effect.id}-side`), "ready", "S9");
            if (world.machine.phase === "starting") {
              for (const need of spec.needs)
                assert.ok(
                  ofUnit(need).every((instance) => instance.state === "ready"),
                  "S1",
                );
            }
          }
          if (effect.kind === "terminate" && effect.id.endsWith("-side")) {
            const main = world.machine.instance(effect.id.slice(0, -5));
            assert.ok(rolled.has(effect.id) || main === undefined, "S9");
          } else if (effect.kind === "terminate" && world.machine.phase === "stopping") {
            const name = world.machine.instance(effect.id)?.unitName as string;
            for (const dependent of units.filter((candidate) => candidate.needs.includes(name))) {
              assert.ok(
                ofUnit(dependent.name).every((instance) => !world.alive.has(instance.id)),
                "S6",
              );
            }
          }
        }
        return effects;
      };
      world.start();
      let crashed = false;
      for (const [what, pick, ms] of events) {
        if (world.machine.phase === "stopped") break;
        const living = [...world.alive];
        const id = living[pick % Math.max(1, living.length)];
        if (what === "wait") world.advance(ms);
        else if (what === "restart") {
          const { name, beside } = units[pick % units.length];
          if (beside !== undefined) for (const { id } of ofUnit(name)) rolled.add(id);
          world.do((machine) => machine.restart(name, world.now));
        } else if (id === undefined) world.advance(ms);
        else if (what === "ready") world.ready(id);
        else if (what === "exit") {
          // Draining processes end by themselves; any other exit is a crash.
          if (!world.terminated.has(id)) crashed = true;
          world.exit(id);
        }
        if (!crashed && world.machine.phase === "ready") {
          for (const spec of units) {
            if (spec.replace === "recreate") continue;
            assert.ok(ofUnit(spec.name).filter((instance) => instance.state === "ready").length >= spec.replicas, "S5");
          }
        }
        for (const alive of world.alive) assert.notEqual(state(alive), undefined, "a process is forgotten");
      }
      // Left alone, every instance that is wanted gets ready, however many back-offs it takes.
      for (let turn = 0; turn < 600 && world.machine.phase !== "stopped"; turn++) {
        const settled = [...world.machine.instances].every((instance) => instance.state === "ready");
        if (settled && world.machine.phase === "ready") break;
        for (const id of [...world.alive]) {
          if (world.terminated.has(id) || state(id) === "killing") world.exit(id, "exit status 0");
          else world.ready(id);
        }
        world.advance(1_000);
      }
      if (world.machine.failure === null)
        for (const spec of units) {
          const wanted = spec.beside === undefined ? spec.replicas : ofUnit(spec.beside.unit).length;
          assert.deepEqual(
            ofUnit(spec.name).map((instance) => instance.state),
            Array(wanted).fill("ready"),
            spec.name,
          );
        }
      world.stop();
      world.stop();
      for (const id of [...world.alive]) if (world.alive.has(id)) world.exit(id, "killed by SIGKILL");
      assert.equal(world.machine.phase, "stopped");
      assert.equal(world.alive.size, 0, "S6: a process is left");
      world.take();
      world.do((machine) => machine.start(world.now));
      world.do((machine) => machine.stop(world.now));
      world.advance(100_000);
      assert.deepEqual(world.take(), [], "S8");
    }),
    { numRuns: 500 },
  );
});
