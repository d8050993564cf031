import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { Metadata } from "../call/metadata.ts";
import { WeftError } from "../core/errors.ts";
import { rateLimit, traffic } from "../policy/builders.ts";
import type { SharedLimitRequest } from "../policy/limit/shared-limit.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { service } from "./definition.ts";
import type { Implementation } from "./implementation.ts";
import { createRuntime } from "./runtime.ts";
import { serve } from "./serve.ts";

async function started(resources: readonly Resource[], implementation: Implementation<typeof Counter> = {}) {
  const runtime = createRuntime({ env: {} });
  runtime.policy.applyResources(1, resources, []);
  const counter = service(Counter, {
    count: ({ count }) => ({ count: count + 1n }),
    hello: () => ({ contentType: "text/plain", data: Buffer.from("Hello!") }),
    ...implementation,
  });
  const server = await serve(counter, { port: 0, runtime, onError: () => {} });
  const clients = createRuntime({ env: {} });
  return {
    runtime,
    server,
    client: clients.connect(Counter, { address: server.address }),
    hello: () => fetch(`http://${server.address}/counter`),
    async [Symbol.asyncDispose]() {
      await clients.close();
      await server.stop(100);
      await runtime.close();
    },
  };
}

async function reasonOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "",
    (thrown) => (thrown as WeftError).reason,
  );
}

test("a rate limit at the server refuses gRPC and REST callers in their own ways, and tells both what is left", async () => {
  await using it = await started(rateLimit("counter").allow(3, "1h").at("server").tell().resources());
  let headers = new Metadata();
  await it.client.count({ count: 1n }, { onHeader: (got) => (headers = got) });
  assert.equal(headers.get("ratelimit"), '"counter";r=2;t=1200');
  const answered = await it.hello();
  assert.deepEqual([answered.status, answered.headers.get("ratelimit")], [200, '"counter";r=1;t=2400']);
  await it.client.count({ count: 1n });
  const refused = await it.client.count({ count: 1n }).catch((thrown: unknown) => thrown);
  assert.ok(refused instanceof WeftError && refused.code === "resource_exhausted" && refused.reason === "RATE_LIMITED");
  const rest = await it.hello();
  assert.equal(rest.status, 429);
  assert.match(rest.headers.get("content-type") ?? "", /problem\+json/);
  assert.ok(Number(rest.headers.get("retry-after")) > 1_000);
  assert.equal(((await rest.json()) as { reason: string }).reason, "RATE_LIMITED");
});

test("health and probes pass no gates, and neither do calls when there are none", async () => {
  await using it = await started(rateLimit("*").allow(1, "1h").at("server").resources());
  await it.client.count({ count: 1n });
  for (let i = 0; i < 3; i++) assert.equal((await fetch(`http://${it.server.address}/readyz`)).status, 200);
  assert.equal((await it.hello()).status, 429);
  it.runtime.policy.applyResources(2, [], []);
  for (let i = 0; i < 3; i++) assert.equal((await it.hello()).status, 200);
});

test("calls in flight are held to a number; those that wait go on as soon as one ends, with their bodies", async () => {
  let running = 0;
  let most = 0;
  const release: (() => void)[] = [];
  await using it = await started(
    rateLimit("counter").inFlight(2, { queue: 2, maxWait: "5s" }).at("server").resources(),
    {
      async count({ count }) {
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => release.push(resolve));
        running--;
        return { count: count + 1n };
      },
    },
  );
  const calls = [1n, 2n, 3n, 4n].map((count) => it.client.count({ count }));
  while (release.length < 2) await new Promise(setImmediate);
  await new Promise((resolve) => setTimeout(resolve, 20)); // the others are in the queue by then
  assert.equal(await reasonOf(it.client.count({ count: 5n })), "TOO_MANY_IN_FLIGHT");
  let answered = 0;
  for (const call of calls) void call.then(() => answered++);
  while (answered < 4) {
    release.shift()?.();
    await new Promise(setImmediate);
  }
  assert.equal(most, 2);
  assert.deepEqual(
    (await Promise.all(calls)).map(({ count }) => count),
    [2n, 3n, 4n, 5n],
  );
});

test("REST requests wait with their bodies, too", async () => {
  const release: (() => void)[] = [];
  await using it = await started(
    rateLimit("counter").inFlight(1, { queue: 3, maxWait: "5s" }).at("server").resources(),
    {
      async count({ count }) {
        await new Promise<void>((resolve) => release.push(resolve));
        return { count: count + 1n };
      },
    },
  );
  const post = async (count: number): Promise<unknown> => {
    const body = JSON.stringify({ count: String(count) });
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`http://${it.server.address}/v1/counter:count`, { method: "POST", headers, body });
    return [answer.status, ((await answer.json()) as { count?: unknown }).count];
  };
  const answers = [1, 2, 3].map(post);
  let answered = 0;
  for (const answer of answers) void answer.then(() => answered++);
  while (answered < 3) {
    release.shift()?.();
    await new Promise(setImmediate);
  }
  assert.deepEqual(await Promise.all(answers), [
    [200, "2"],
    [200, "3"],
    [200, "4"],
  ]);
});

test("a caller that goes away while it waits leaves its place to the next", async () => {
  const release: (() => void)[] = [];
  await using it = await started(
    rateLimit("counter").inFlight(1, { queue: 1, maxWait: "5s" }).at("server").resources(),
    {
      async count() {
        await new Promise<void>((resolve) => release.push(resolve));
        return { count: 1n };
      },
    },
  );
  const first = it.client.count({});
  while (release.length === 0) await new Promise(setImmediate);
  const leaving = new AbortController();
  const second = it.client.count({}, { signal: leaving.signal });
  await new Promise((resolve) => setTimeout(resolve, 20));
  leaving.abort();
  await assert.rejects(second);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const third = it.client.count({});
  await new Promise((resolve) => setTimeout(resolve, 20));
  release.shift()?.();
  await first;
  while (release.length === 0) await new Promise(setImmediate);
  release.shift()?.();
  await third;
});

test("a handler whose caller gave up keeps its place until it has settled", async () => {
  const release: (() => void)[] = [];
  await using it = await started(rateLimit("counter").inFlight(1).at("server").resources(), {
    async count({ count }) {
      await new Promise<void>((resolve) => release.push(resolve));
      return { count };
    },
  });
  // Longer than it takes to connect, on a machine that stands still for a while, too: a call that never arrived keeps no place.
  assert.equal(await reasonOf(it.client.count({ count: 1n }, { timeoutMs: 500 })), "DEADLINE_EXCEEDED");
  assert.notEqual(release.length, 0);
  assert.equal(await reasonOf(it.client.count({ count: 2n })), "TOO_MANY_IN_FLIGHT");
  release.shift()?.();
  await new Promise(setImmediate);
  const next = it.client.count({ count: 3n });
  while (release.length === 0) await new Promise(setImmediate);
  release.shift()?.();
  assert.equal((await next).count, 3n);
});

test("shared limits are asked for, and the answer decides", async () => {
  await using it = await started(rateLimit("counter").allow(100).shared().at("server").resources());
  const asked: SharedLimitRequest[] = [];
  it.runtime.inbound.query = ({ about }, answer) => {
    asked.push(about as SharedLimitRequest);
    setImmediate(() => answer({ allowed: asked.length < 2, waitMs: 1_500, left: 0 }));
  };
  assert.equal(await reasonOf(it.client.count({ count: 1n })), "");
  const rest = await it.hello();
  assert.deepEqual([rest.status, rest.headers.get("retry-after")], [429, "2"]);
  assert.equal(asked[1].name, "counter");
});

test("the process's load is measured once a policy goes by it, and sheds what matters least", async () => {
  const resources = traffic("counter")
    .admission({
      eventLoop: 0.5,
      sustained: "0s",
      priorities: [{ priority: 10, header: { name: "x-tier", value: "gold" } }],
    })
    .resources();
  await using it = await started(resources);
  assert.equal(it.runtime.policy.process.load.readings, 0);
  await it.client.count({ count: 1n });
  const { load } = it.runtime.policy.process;
  while (load.readings === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  for (let i = 0; i < 40; i++) load.tell(1, 0, 0);
  let shed = 0;
  for (let i = 0; i < 40; i++) {
    const reason = await reasonOf(it.client.count({ count: 1n }));
    if (reason === "SHED") shed++;
    const gold = { metadata: { "x-tier": "gold" } };
    assert.equal(await reasonOf(it.client.count({ count: 1n }, gold)), "");
  }
  assert.ok(shed > 5, `${shed}`);
});

test("an adaptive limit hears how calls ended", async () => {
  await using it = await started(traffic("counter").concurrency("aimd", { initial: 2 }).resources(), {
    count: async ({ count }) => {
      await new Promise(setImmediate);
      if (count === 0n) throw new WeftError("unavailable", "not now", { reason: "BUSY" });
      return { count };
    },
  });
  for (let i = 0; i < 10; i++) await Promise.all([it.client.count({ count: 1n }), it.client.count({ count: 1n })]);
  const [state] = it.runtime.policy.process.adaptiveLimits;
  assert.ok(state.limit.limitAt(0, 0) > 2);
  assert.equal(state.inFlight, 0);
  const grown = state.limit.limitAt(0, 0);
  await reasonOf(it.client.count({ count: 0n }));
  assert.ok(state.limit.limitAt(0, 0) < grown);
});
