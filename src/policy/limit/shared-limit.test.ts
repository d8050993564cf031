import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VirtualClock } from "../../core/clock.ts";
import { LeasedLimits } from "./leased-limits.ts";
import { type LeaseAsk, type LeaseGrant, LimitGrantor, leaseMs } from "./limit-grantor.ts";
import { MemoryLimits } from "./memory-limits.ts";
import { sharedLimitContract } from "./shared-limit.case.ts";
import type { SharedLimitAnswer, SharedLimitRequest, SharedLimits } from "./shared-limit.ts";

function world(clock: VirtualClock, nodes: readonly SharedLimits[]) {
  return {
    take: (node: number, request: SharedLimitRequest) =>
      new Promise<SharedLimitAnswer | null>((resolve) => nodes[node].take(request, resolve)),
    now: () => clock.now(),
    async advance(ms: number) {
      clock.advance(ms);
    },
    async close() {},
  };
}

sharedLimitContract("in one place", {
  async open(nodes) {
    const clock = new VirtualClock();
    const limits = new MemoryLimits(() => clock.now());
    return world(
      clock,
      Array.from({ length: nodes }, () => limits),
    );
  },
  slackMs: () => 0,
});

/** Nodes that ask a grantor `latencyMs` away, each with its own idea of the time. */
function leased(clock: VirtualClock, nodes: number, skewMs = 0, latencyMs = 3) {
  const grantor = new LimitGrantor();
  const asks: LeaseAsk[] = [];
  const line = { up: true };
  const limits = Array.from({ length: nodes }, (_, i) => {
    const now = () => clock.now() + i * skewMs;
    const ask = (question: LeaseAsk, reply: (grant: LeaseGrant | null) => void): void => {
      asks.push(question);
      clock.after(latencyMs, () => {
        const grant = line.up ? grantor.lease(question, clock.now()) : null;
        clock.after(latencyMs, () => reply(grant));
      });
    };
    return new LeasedLimits(`node ${i}`, ask, now);
  });
  return { grantor, asks, line, limits };
}

const slackMs = ({ perMs }: SharedLimitRequest): number => 2 * leaseMs(perMs);

sharedLimitContract("leased", {
  async open(nodes, skewMs = 0) {
    const clock = new VirtualClock();
    const { limits } = leased(clock, nodes, skewMs);
    return {
      ...world(clock, limits),
      take: (node, request) =>
        new Promise((resolve) => {
          let answered = false;
          limits[node].take(request, (answer) => {
            answered = true;
            resolve(answer);
          });
          if (!answered) clock.advance(7); // a node's first call waits for its grant
        }),
    };
  },
  slackMs,
});

const LIMIT: SharedLimitRequest = {
  ...{ name: "orders", key: "", algorithm: "token-bucket", requests: 1_000, perMs: 1_000, burst: 200, cost: 1 },
} as const;

test("few calls ask anybody: a node holds what it needs for a while", () => {
  const clock = new VirtualClock();
  const { limits, asks } = leased(clock, 1);
  let passed = 0;
  for (let i = 0; i < 5_000; i++) {
    clock.advance(2);
    limits[0].take(LIMIT, (answer) => void (answer?.allowed && passed++));
  }
  assert.ok(passed > 4_950, `${passed}`);
  assert.ok(asks.length < 300, `${asks.length} questions`);
});

test("after a pause a call waits for the next grant, and is not refused for what the node does not hold", () => {
  const clock = new VirtualClock();
  const { limits } = leased(clock, 2);
  const answers: (boolean | undefined)[] = [];
  const limit = { ...LIMIT, requests: 10, burst: 10, perMs: 10_000 };
  for (const node of [0, 1]) {
    for (let i = 0; i < 3; i++) {
      limits[node].take(limit, (answer) => answers.push(answer?.allowed));
      clock.advance(15_000);
    }
  }
  assert.deepEqual(answers, Array(6).fill(true));
});

test("a call that costs more than is held waits for what is missing", () => {
  const clock = new VirtualClock();
  const { limits } = leased(clock, 1);
  const answers: (boolean | undefined)[] = [];
  const take = (cost: number) => limits[0].take({ ...LIMIT, cost }, (answer) => answers.push(answer?.allowed));
  take(1);
  clock.advance(10);
  take(50);
  clock.advance(30);
  assert.deepEqual(answers, [true, true]);
});

test("G3: a node that wants little gets it, those that want more share the rest alike", () => {
  const clock = new VirtualClock();
  const { limits } = leased(clock, 3);
  const passed = [0, 0, 0];
  for (let i = 0; i < 10_000; i++) {
    clock.advance(1);
    // 100, 1,000 and 4,000 calls a second, where 1,000 are allowed
    limits.forEach((limit, node) => {
      for (let n = 0; n < [i % 10 === 0 ? 1 : 0, 1, 4][node]; n++)
        limit.take(LIMIT, (answer) => void (answer?.allowed && passed[node]++));
    });
  }
  const [little, some, much] = passed.map((count) => count / 10);
  assert.ok(little > 80, `${little} of 100 a second`);
  assert.ok(some > 300 && much > 300 && much < 2 * some, `${some} and ${much} a second`);
  assert.ok(little + some + much < 1_050 && little + some + much > 900);
});

test("a node that hears nothing says so, goes on with what it holds until that expires, and asks again", () => {
  const clock = new VirtualClock();
  const { limits, line } = leased(clock, 1);
  const answers: (boolean | null)[] = [];
  const call = (): void => limits[0].take(LIMIT, (answer) => answers.push(answer === null ? null : answer.allowed));
  call();
  clock.advance(10);
  assert.deepEqual(answers.splice(0), [true]);
  line.up = false;
  for (let i = 0; i < 500; i++) {
    clock.advance(1);
    call();
  }
  assert.equal(answers.at(-1), null);
  assert.ok(answers.slice(300).every((answer) => answer === null));
  line.up = true;
  clock.advance(1_100);
  call();
  clock.advance(10);
  answers.length = 0;
  call();
  assert.deepEqual(answers, [true]);
});

test("G1, N1: whatever nodes do and however the line is, no more is used than the limit and its slack allow", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 30 }),
      fc.integer({ min: 20, max: 400 }),
      fc.integer({ min: 1, max: 50 }),
      fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 20 })), {
        maxLength: 150,
      }),
      (nodes, latencyMs, requests, burst, steps) => {
        const clock = new VirtualClock();
        const { limits } = leased(clock, nodes, 12_345, latencyMs);
        const limit = { ...LIMIT, requests, burst };
        const passed: number[] = [];
        for (const [node, waitMs, calls] of steps) {
          clock.advance(waitMs);
          for (let i = 0; i < calls; i++)
            limits[node % nodes].take(limit, (answer) => void (answer?.allowed && passed.push(clock.now())));
        }
        clock.advance(100);
        const most = (ms: number): number => burst + ((ms + slackMs(limit)) * requests) / limit.perMs + 1e-6;
        for (let i = 0; i < passed.length; i++)
          for (let j = i; j < passed.length; j++) assert.ok(j - i + 1 <= most(passed[j] - passed[i]));
      },
    ),
    { numRuns: 60 },
  );
});
