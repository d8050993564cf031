import assert from "node:assert/strict";
import { test } from "node:test";
import { attemptFields, isBelieved, parseCallerAttempt } from "./caller-attempt.ts";

test("what one hop says of its attempt, the next understands", () => {
  assert.equal(parseCallerAttempt(attemptFields(2, 0, false)), 2);
  assert.deepEqual(attemptFields(3, 0, true), ["x-weft-attempt", "3", "grpc-previous-rpc-attempts", "2"]);
  assert.equal(parseCallerAttempt(["grpc-previous-rpc-attempts", "2"]), 3);
  assert.equal(parseCallerAttempt(attemptFields(1, 4, false)), 4, "a hop that does not retry passes its caller's on");
  for (const value of ["", "0", "-1", "1e3", "12345", "x"])
    assert.equal(parseCallerAttempt(["x-weft-attempt", value]), 0);
});

test("only peers that proved who they are, and this machine's, are believed", () => {
  assert.equal(isBelieved({ identity: "spiffe://shop/orders", address: "10.0.0.1:1" }), true);
  assert.equal(isBelieved({ identity: "alice", address: "10.0.0.1:1" }), false, "a person's certificate");
  assert.equal(isBelieved({ identity: "", address: "127.0.0.1:4711" }), true);
  assert.equal(isBelieved({ identity: "", address: "[::1]:4711" }), true);
  for (const address of ["10.0.0.1:127", "::1234:5678", "[::1:2]:3", "unknown", ""])
    assert.equal(isBelieved({ identity: "", address }), false, address);
});
