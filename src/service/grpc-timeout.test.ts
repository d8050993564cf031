import assert from "node:assert/strict";
import { test } from "node:test";
import { parseGrpcTimeout } from "./grpc-timeout.ts";

test("every unit is understood", () => {
  assert.equal(parseGrpcTimeout("2H"), 7_200_000);
  assert.equal(parseGrpcTimeout("3M"), 180_000);
  assert.equal(parseGrpcTimeout("4S"), 4_000);
  assert.equal(parseGrpcTimeout("99999999m"), 99_999_999);
  assert.equal(parseGrpcTimeout("1500u"), 1.5);
  assert.equal(parseGrpcTimeout("0n"), 0);
});

test("what is malformed is null", () => {
  for (const value of ["", "5", "S", "-1S", "1.5S", "123456789S", "1s", "1 S", " 1S", "1SS", "١S"]) {
    assert.equal(parseGrpcTimeout(value), null, value);
  }
});
