import assert from "node:assert/strict";
import { test as contractTest } from "node:test";
import type { SharedLimitAnswer, SharedLimitRequest } from "./shared-limit.ts";

/** Some nodes that keep limits together, over whatever it is that they share. */
export interface SharedLimitWorld {
  /** What the node is told; null when nobody could say. */
  take(node: number, request: SharedLimitRequest): Promise<SharedLimitAnswer | null>;
  /** On a clock that only goes on with `advance` or, with a real server, by itself. */
  now(): number;
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

export interface SharedLimitSetup {
  /** Clocks of nodes differ by `skewMs` where the world can arrange that. */
  open(nodes: number, skewMs?: number): Promise<SharedLimitWorld>;
  /** Ms for which what was granted may lie unused: in a time T calls for T + slackMs may pass. 0 when every call is decided where the limit is kept. */
  slackMs(request: SharedLimitRequest): number;
  /** Time is real: short tests, and no exact times. */
  real?: boolean;
}

/** What every way of sharing limits promises. Run by each with its real server. */
export function sharedLimitContract(name: string, { open, slackMs, real = false }: SharedLimitSetup): void {
  const bucket: SharedLimitRequest = {
    name: "orders",
    key: "ann",
    algorithm: "token-bucket",
    requests: 200,
    perMs: 1_000,
    burst: 50,
    cost: 1,
  };
  const window: SharedLimitRequest = { ...bucket, algorithm: "sliding-window", requests: 40, burst: 40, perMs: 500 };
  const seconds = real ? 1.5 : 5;
  const test = (what: string, body: (open: SharedLimitSetup["open"]) => Promise<void>): void => {
    contractTest(`${name}: ${what}`, async (t) => {
      await body(async (...given) => {
        const world = await open(...given);
        t.after(() => world.close());
        return world;
      });
    });
  };

  test("all nodes together stay below the limit in every window", async (open) => {
    for (const request of [bucket, window]) {
      const world = await open(3);
      const passed = await flood(world, 3, request, seconds * 1_000, 4);
      assertWithin(passed, request, slackMs(request));
    }
  });

  test("what the limit allows does pass, whichever node asks", async (open) => {
    for (const request of [bucket, window]) {
      const world = await open(3);
      const passed = await flood(world, 3, request, seconds * 1_000, 4);
      assert.ok(passed.length >= passed.allowed * 0.7, `${passed.length} of ${passed.allowed} passed`);
    }
  });

  test("keys and limits do not take from each other", async (open) => {
    const world = await open(1);
    const small = { ...bucket, requests: 1, perMs: 60_000, burst: 1 };
    assert.equal((await world.take(0, small))?.allowed, true);
    assert.equal((await world.take(0, { ...small, key: "ben" }))?.allowed, true);
    assert.equal((await world.take(0, { ...small, name: "carts" }))?.allowed, true);
    const refused = await world.take(0, small);
    assert.equal(refused?.allowed, false);
    assert.ok((refused?.waitMs ?? 0) > 0);
  });

  test("a dear call takes as much as it costs", async (open) => {
    const world = await open(1);
    const small = { ...bucket, requests: 10, perMs: 60_000, burst: 10 };
    let passed = 0;
    for (let i = 0; i < 6; i++) if ((await world.take(0, { ...small, cost: 4 }))?.allowed) passed++;
    assert.ok(passed <= 2 && passed >= 1, `${passed}`);
  });

  test("what was used comes back with time", async (open) => {
    const world = await open(2);
    const small = { ...bucket, requests: 20, perMs: 400, burst: 4 };
    const first = await flood(world, 1, small, 100, 2);
    await world.advance(400 + 2 * slackMs(small));
    // Another node's turn: what the first one may still hold has expired.
    let again = 0;
    for (let i = 0; i < 10 && again < 2; i++) {
      if ((await world.take(1, small))?.allowed) again++;
      else await world.advance(20);
    }
    assert.ok(first.length >= 3 && again >= 2, `${first.length}, then ${again}`);
  });

  test("clocks that differ let no more pass", async (open) => {
    const world = await open(3, 60_000);
    assertWithin(await flood(world, 3, bucket, seconds * 500, 4), bucket, slackMs(bucket));
  });
}

/** A call that passed: it was decided between the two. */
interface Passed {
  readonly asked: number;
  readonly answered: number;
}

/** All nodes ask, `every` so many ms or more seldom where time is real and others have the machine, for `ms`, and three times at least. Gives what passed, and how many of those that were asked the limit has room for. */
async function flood(
  world: SharedLimitWorld,
  nodes: number,
  request: SharedLimitRequest,
  ms: number,
  every: number,
): Promise<Passed[] & { allowed: number }> {
  const passed: Passed[] & { allowed: number } = Object.assign([], { allowed: 0 });
  let room = 0;
  let last = world.now();
  const until = last + ms;
  for (let turns = 0; turns < 3 || world.now() < until; turns++) {
    const turn = world.now();
    room = Math.min(request.burst, room + ((turn - last) * request.requests) / request.perMs);
    last = turn;
    const granted = Math.min(nodes * 2, Math.floor(room));
    room -= granted;
    passed.allowed += granted;
    const asks: Promise<void>[] = [];
    for (let node = 0; node < nodes; node++) {
      for (let i = 0; i < 2; i++) {
        const asked = world.now();
        asks.push(
          world.take(node, request).then((answer) => {
            if (answer?.allowed) passed.push({ asked, answered: world.now() });
          }),
        );
      }
    }
    await Promise.all([...asks, world.advance(every)]);
  }
  return passed;
}

/** Counts in every stretch of time what was surely decided in it. */
function assertWithin(passed: readonly Passed[], request: SharedLimitRequest, slackMs: number): void {
  const { algorithm, burst, perMs, requests } = request;
  const byAnswer = passed.toSorted((a, b) => a.answered - b.answered);
  for (const { asked: from } of passed) {
    let count = 0;
    for (const { asked, answered } of byAnswer) {
      if (asked < from) continue;
      count++;
      const within = answered - from;
      if (algorithm === "sliding-window") {
        if (within < perMs) assert.ok(count <= requests, `${count} in ${within} ms`);
      } else {
        const most = burst + ((within + slackMs) * requests) / perMs + 1e-6;
        assert.ok(count <= most, `${count} in ${within} ms, of at most ${most}`);
      }
    }
  }
}
