import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatGrpcTimeout, parseGrpcTimeout } from "./timeout.ts";

test("units and digits are read as gRPC writes them", () => {
  assert.equal(parseGrpcTimeout("2H"), 7_200_000);
  assert.equal(parseGrpcTimeout("3M"), 180_000);
  assert.equal(parseGrpcTimeout("4S"), 4_000);
  assert.equal(parseGrpcTimeout("99999999m"), 99_999_999);
  assert.equal(parseGrpcTimeout("1500u"), 1.5);
  assert.equal(parseGrpcTimeout("0n"), 0);
});

test("what is malformed is not guessed", () => {
  for (const value of ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", " 1S", "1S "]) {
    assert.equal(parseGrpcTimeout(value), null, value);
  }
});

test("a formatted time-out is never longer than what is left, never 0, and loses less than a thousandth", () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 1e10, noNaN: true }), (ms) => {
      const parsed = parseGrpcTimeout(formatGrpcTimeout(ms));
      assert.ok(parsed !== null && parsed > 0 && parsed <= ms * (1 + 1e-12));
      assert.ok(parsed >= Math.min(ms * 0.999 - 0.001, 99_999));
    }),
  );
});
