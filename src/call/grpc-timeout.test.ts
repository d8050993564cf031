import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grpcTimeout } from "./grpc-timeout.ts";

test("a timeout is never stretched, never 0, and has at most eight digits", () => {
  const unitMs: Record<string, number> = { u: 0.001, m: 1, S: 1_000 };
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 1e12, noNaN: true }), (ms) => {
      const text = grpcTimeout(ms);
      const match = /^(\d{1,8})([umS])$/.exec(text);
      assert.ok(match, text);
      const told = Number(match[1]) * unitMs[match[2]];
      assert.ok(told > 0 && told <= ms * (1 + 1e-9), `${text} for ${ms}`);
    }),
  );
});

test("what is left of a second is told in microseconds", () => {
  assert.equal(grpcTimeout(999.9), "999900u");
  assert.equal(grpcTimeout(100_000), "100000m");
  assert.equal(grpcTimeout(0), "1u");
});
