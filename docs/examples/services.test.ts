import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata, type WeftError } from "weftmesh";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { guardedCounter } from "./guarded-counter.ts";
import { startTwo } from "./passing-on.ts";

const metadata = { authorization: "Bearer let-me-in" };

test("interceptors time and guard calls", async () => {
  const lines: string[] = [];
  const { call } = guardedCounter((line) => lines.push(line));
  await assert.rejects(call.count({ count: 1n }), { code: "unauthenticated", reason: "NO_TOKEN" });
  let trailers = new Metadata();
  const answer = await call.count({ count: 1n }, { metadata, onTrailer: (got) => (trailers = got) });
  assert.equal(answer.count, 2n);
  assert.equal(trailers.get("x-thought-for"), "0 ms");
  assert.equal(lines.length, 2);
});

test("errors name the field", async () => {
  const { call } = guardedCounter(() => {});
  const refused = await call.count({ count: -1n }, { metadata }).catch((error: WeftError) => error);
  assert.equal((refused as WeftError).code, "invalid_argument");
  assert.equal((refused as WeftError).place?.field, "count");
});

test("a call passes on through two servers", async () => {
  const two = await startTwo();
  try {
    const client = two.runtime.connect(Counter, { address: two.address });
    assert.equal((await client.count({ count: 1n }, { timeoutMs: 5_000 })).count, 2n);
  } finally {
    await two.stop();
  }
});
