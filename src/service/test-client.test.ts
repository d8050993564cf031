import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { Metadata } from "../call/metadata.ts";
import { VirtualClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { service } from "./definition.ts";
import { createTestClient } from "./test-client.ts";

const forever = () => new Promise<never>(() => {});

test("every kind of method can be called without a socket", async () => {
  const { call } = service(Counter, {
    count: ({ count }) => ({ count: count + 1n }),
    async *watch({ from, limit }) {
      for (let n = 0; n < limit; n++) yield { count: from + BigInt(n) };
    },
    async sum(requests) {
      let sum = 0n;
      for await (const { count } of requests) sum += count;
      return { sum };
    },
    async *chat(requests) {
      for await (const { text } of requests) yield { text: `${text}!` };
    },
  });
  assert.equal((await call.count({ count: 1n })).count, 2n);
  const seen: bigint[] = [];
  for await (const { count } of call.watch({ from: 3n, limit: 2 })) seen.push(count);
  assert.deepEqual(seen, [3n, 4n]);
  assert.equal((await call.sum([{ count: 1n }, { count: 5n }])).sum, 6n);
  const texts: string[] = [];
  for await (const { text } of call.chat([{ text: "a" }])) texts.push(text);
  assert.deepEqual(texts, ["a!"]);
});

test("what would fail on the wire fails here", async () => {
  const { call } = service(Counter, { count: () => ({ count: "many" as unknown as bigint }) });
  await assert.rejects(call.count({}), WeftError);
  await assert.rejects(call.hello({}), { code: "unimplemented" });
});

test("metadata goes both ways", async () => {
  const { call } = service(Counter, {
    count(request, { requestHeaders, setHeader: _, ...rest }) {
      void rest;
      return { count: BigInt(requestHeaders.get("x-number") ?? 0) + request.count };
    },
    hello(_request, serverCall) {
      serverCall.setHeader("x-head", "h");
      serverCall.setTrailer("x-tail", "t");
      return {};
    },
  });
  assert.equal((await call.count({ count: 1n }, { metadata: { "X-Number": "41" } })).count, 42n);
  let headers = new Metadata();
  let trailers = new Metadata();
  await call.hello({}, { onHeader: (got) => (headers = got), onTrailer: (got) => (trailers = got) });
  assert.equal(headers.get("x-head"), "h");
  assert.equal(trailers.get("x-tail"), "t");
});

test("time-outs and cancellation reach the handler", async () => {
  const clock = new VirtualClock();
  const reasons: unknown[] = [];
  const definition = service(Counter, {
    count(_request, call) {
      call.signal.addEventListener("abort", () => reasons.push((call.signal.reason as WeftError).code));
      return forever();
    },
  });
  const client = createTestClient(definition, { clock });
  const late = client.count({}, { timeoutMs: 100 });
  clock.advance(150);
  await assert.rejects(late, { code: "deadline_exceeded" });
  const controller = new AbortController();
  const cancelled = client.count({}, { signal: controller.signal });
  controller.abort();
  await assert.rejects(cancelled, { code: "cancelled" });
  assert.deepEqual(reasons, ["deadline_exceeded", "cancelled"]);
});

test("leaving a stream early stops its generator", async () => {
  let stopped = false;
  const { call } = service(Counter, {
    async *watch() {
      try {
        for (let n = 0n; ; n++) yield { count: n };
      } finally {
        stopped = true;
      }
    },
  });
  for await (const { count } of call.watch({})) if (count === 3n) break;
  await new Promise(setImmediate);
  assert.equal(stopped, true);
});

test("definitions with a wrong handler are refused by name", () => {
  assert.throws(() => service(Counter, { cuont: () => ({}) } as never), /no method "cuont".*count/);
  assert.throws(() => service(Counter, { count: 5 } as never), /"count" is a number, not a function/);
  assert.throws(() => service(Counter, {}, { maxRequestBytes: 0 }), /maxRequestBytes/);
});

test("a class serves as an implementation, with its own state", async () => {
  class Stateful {
    #total = 0n;
    count({ count }: { count: bigint }) {
      this.#total += count;
      return { count: this.#total };
    }
  }
  const { call } = service(Counter, new Stateful());
  await call.count({ count: 2n });
  assert.equal((await call.count({ count: 3n })).count, 5n);
});
