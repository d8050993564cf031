import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { route, traffic } from "../policy/builders.ts";
import { EventQueue } from "./event-queue.ts";
import { type Job, ServerQueue } from "./server-queue.ts";
import { simulate } from "./simulate.ts";
import type { ServiceModel } from "./types.ts";

/** The mean time in the system that the model has under Poisson arrivals. */
async function meanOf(model: ServiceModel, perSecond: number): Promise<number> {
  const world = simulate({
    services: { s: model },
    routes: [route("/").to("s")],
    policies: [traffic("*").timeout(0).retry(0).breaker(false)],
  });
  const seen = await world.load("GET /", { perSecond, forMs: 2_000_000, warmUpMs: 50_000, keep: "none" });
  return seen.mean;
}

const near = (found: number, expected: number): void =>
  assert.ok(Math.abs(found / expected - 1) < 0.05, `${found} where theory has ${expected}`);

/* Work of 10 ms on average, 70 calls a second: a load of 0.7. Source of the formulas: Kleinrock, "Queueing Systems", 1975. */

test("one server in line is M/M/1: work / (1 - load)", async () => {
  near(await meanOf({ latencyMs: { exponential: 10 }, concurrency: 1 }, 70), 10 / 0.3);
});

test("one server with constant work is M/D/1: half the wait", async () => {
  near(await meanOf({ latencyMs: 10, concurrency: 1 }, 70), 10 + (0.7 / (2 * 0.3)) * 10);
});

test("a shared processor does not mind how work is distributed: M/G/1-PS", async () => {
  const mixed = {
    mix: [
      [9, 5],
      [1, 55],
    ],
  } as const;
  near(await meanOf({ latencyMs: mixed, concurrency: 1, above: "share" }, 70), 10 / 0.3);
});

test("several servers in line are M/M/c: Erlang's C", async () => {
  const load = 2.1;
  const waits = (load ** 3 / 6) * (3 / (3 - load));
  const probability = waits / (1 + load + load ** 2 / 2 + waits);
  near(await meanOf({ latencyMs: { exponential: 10 }, concurrency: 3 }, 210), 10 + (probability * 10) / (3 - load));
});

test("whatever comes, stalls and leaves, each job is done once, in order of what it needs, and never early", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("submit" as const), workMs: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant("speed" as const), speed: fc.constantFrom(0, 0.5, 1, 2) }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 40 }) }),
    fc.record({ kind: fc.constant("remove" as const), which: fc.nat(20) }),
  );
  const shape = fc.record({ concurrency: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY), share: fc.boolean() });
  fc.assert(
    fc.property(shape, fc.array(step, { maxLength: 80 }), ({ concurrency, share }, steps) => {
      const events = new EventQueue();
      const queue = new ServerQueue(events, concurrency, share, Number.POSITIVE_INFINITY);
      const open = new Set<TestJob>();
      const run = (until: number): void => {
        events.after(until - events.now(), () => {});
        while (events.nextAt <= until) events.runNext();
      };
      for (const each of steps) {
        if (each.kind === "submit") {
          const job = new TestJob(each.workMs, events.now(), (done) => {
            assert.ok(open.delete(done), "done once");
            assert.ok(events.now() - done.at >= done.workMs / 2 - 1e-6, "at most at double speed");
          });
          open.add(job);
          assert.ok(queue.submit(job));
        } else if (each.kind === "speed") queue.speed = each.speed;
        else if (each.kind === "wait") run(events.now() + each.ms);
        else {
          const job = [...open][each.which];
          if (job !== undefined) {
            open.delete(job);
            queue.remove(job);
          }
        }
        assert.equal(queue.load, open.size);
      }
      queue.speed = 1;
      while (events.runNext());
      assert.equal(open.size, 0);
      assert.equal(queue.load, 0);
    }),
  );
});

class TestJob implements Job {
  finishAt = 0;
  place = -1;
  readonly workMs: number;
  readonly at: number;
  readonly #done: (job: TestJob) => void;

  constructor(workMs: number, at: number, done: (job: TestJob) => void) {
    this.workMs = workMs;
    this.at = at;
    this.#done = done;
  }

  finished(): void {
    this.#done(this);
  }
}
