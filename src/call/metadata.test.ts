import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata } from "./metadata.ts";

test("values are kept in order, names without case, bytes in base64", () => {
  const metadata = Metadata.from({ "X-A": ["1", "2"], "x-b-bin": Uint8Array.of(1, 2, 3) });
  assert.deepEqual(metadata.fields, ["x-a", "1", "x-a", "2", "x-b-bin", "AQID"]);
  assert.deepEqual(metadata.getAll("x-A"), ["1", "2"]);
  assert.deepEqual(metadata.getBinary("x-b-bin"), [Uint8Array.of(1, 2, 3)]);
  metadata.set("x-a", "3");
  assert.equal(metadata.get("x-a"), "3");
  assert.deepEqual(metadata.getAll("x-a"), ["3"]);
});

test("what the protocol owns and what cannot travel is refused, by name", () => {
  for (const name of ["grpc-timeout", "content-type", "te", "Host", "a b", ""]) {
    assert.throws(() => Metadata.from({ [name]: "x" }), { code: "invalid_argument", reason: "BAD_METADATA" });
  }
  assert.throws(() => Metadata.from({ "x-a": "line\nbreak" }), /x-a/);
  assert.throws(() => Metadata.from({ "x-a-bin": "text" }), /needs bytes/);
  assert.throws(() => Metadata.from({ "x-a": Uint8Array.of(1) }), /-bin/);
});
