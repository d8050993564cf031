import assert from "node:assert/strict";
import { test } from "node:test";
import { connectRedisLimits } from "../../src/drivers/redis/redis-limits.ts";
import { sharedLimitContract } from "../../src/policy/limit/shared-limit.case.ts";

/** Against the server at WEFT_TEST_REDIS, a URL. */
const url = process.env.WEFT_TEST_REDIS ?? "";
let worlds = 0;

async function connected() {
  const limits = await connectRedisLimits({ url, prefix: `test:${process.pid}:${++worlds}:`, timeoutMs: 2_000 });
  const request = { name: "ready", key: "", algorithm: "gcra", requests: 1, perMs: 1, burst: 1, cost: 1 } as const;
  const answer = () => new Promise((resolve) => limits.take(request, resolve));
  while ((await answer()) === null) await new Promise((resolve) => setTimeout(resolve, 5));
  return limits;
}

sharedLimitContract("Redis", {
  async open(nodes) {
    const prefix = ++worlds;
    const limits = await Promise.all(
      Array.from({ length: nodes }, () =>
        connectRedisLimits({ url, prefix: `test:${process.pid}:${prefix}:`, timeoutMs: 2_000 }),
      ),
    );
    const first = { name: "ready", key: "", algorithm: "gcra", requests: 1, perMs: 1, burst: 1, cost: 1 } as const;
    for (const node of limits) {
      while ((await new Promise((resolve) => node.take(first, resolve))) === null)
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return {
      take: (node, request) => new Promise((resolve) => limits[node].take(request, resolve)),
      now: () => performance.now(),
      advance: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      close: async () => {
        for (const node of limits) await node.close();
      },
    };
  },
  // Decided by the server's clock, at a moment between question and answer.
  slackMs: () => 50,
  real: true,
});

test("a key lives no longer than what it says holds", async () => {
  const limits = await connected();
  const { Redis } = await import("iovalkey");
  const redis = new Redis(url);
  try {
    for (const algorithm of ["token-bucket", "sliding-window"] as const) {
      const request = { name: "short", key: algorithm, algorithm, requests: 5, perMs: 32_000, burst: 5, cost: 2 };
      await new Promise((resolve) => limits.take(request, resolve));
    }
    const keys = await redis.keys(`test:${process.pid}:${worlds}:short*`);
    assert.equal(keys.length, 2);
    for (const key of keys) {
      const ttl = await redis.pttl(key);
      assert.ok(ttl > 0 && ttl <= 33_010, `${key} lives ${ttl} ms`);
    }
  } finally {
    redis.disconnect();
    await limits.close();
  }
});

test("a server that is not there is said at once, and told once", async () => {
  const told: unknown[] = [];
  const limits = await connectRedisLimits({ url: "redis://127.0.0.1:1", onChange: (lost) => told.push(lost?.reason) });
  const request = { name: "a", key: "", algorithm: "gcra", requests: 1, perMs: 1, burst: 1, cost: 1 } as const;
  let answer: unknown = "none yet";
  limits.take(request, (given) => {
    answer = given;
  });
  assert.equal(answer, null);
  while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 400)); // it tries again meanwhile
  assert.deepEqual(told, ["SHARED_LIMITS_LOST"]);
  await limits.close();
});

test("what is no url is refused, without repeating what may be a password", async () => {
  await assert.rejects(
    connectRedisLimits({ url: "http://user:hush@host" }),
    (error: Error) => !error.message.includes("hush"),
  );
});
