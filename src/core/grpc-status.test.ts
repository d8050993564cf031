import assert from "node:assert/strict";
import { test } from "node:test";
import { codeNumber } from "./errors.ts";
import { httpStatusOfGrpc, isServerFault } from "./grpc-status.ts";

test("gRPC statuses have the HTTP statuses of google/rpc/code.proto", () => {
  assert.equal(httpStatusOfGrpc(codeNumber("cancelled")), 499);
  assert.equal(httpStatusOfGrpc(codeNumber("unavailable")), 503);
  assert.equal(httpStatusOfGrpc(codeNumber("unauthenticated")), 401);
  assert.equal(httpStatusOfGrpc(99), 500);
});

test("what is the caller's doing is no fault of the server", () => {
  assert.equal(isServerFault(codeNumber("unavailable")), true);
  assert.equal(isServerFault(codeNumber("not_found")), false);
  assert.equal(isServerFault(-1), false);
});
