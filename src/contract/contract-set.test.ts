import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { WeftError } from "../core/errors.ts";
import { codecOf } from "./codec.ts";
import { contractSet, descriptorSetOf, parseContractSet } from "./contract-set.ts";
import { formatBinding } from "./http-rule.ts";
import { FileDescriptorSetSchema, fromBinary, toBinary } from "./runtime.ts";

test("what a service registers is what a gateway reads", () => {
  const bytes = descriptorSetOf([Counter]);
  const set = parseContractSet(bytes, ["counter.v1.Counter"]);
  for (const { methods } of [set, contractSet([Counter])]) {
    const table = [...methods.values()].map(({ path, idempotent, clientStreaming, serverStreaming, bindings }) => {
      return [path, idempotent, clientStreaming, serverStreaming, bindings.map(formatBinding)];
    });
    assert.deepEqual(table, [
      ["/counter.v1.Counter/Count", true, false, false, ["POST /v1/counter:count"]],
      ["/counter.v1.Counter/Watch", false, false, true, ["GET /v1/counter:watch"]],
      ["/counter.v1.Counter/Sum", false, true, false, []],
      ["/counter.v1.Counter/Chat", false, true, true, []],
      ["/counter.v1.Counter/Hello", true, false, false, ["GET /counter"]],
    ]);
  }
  const input = set.methods.get("/counter.v1.Counter/Count")?.desc.input;
  assert.ok(input !== undefined);
  const encoded = codecOf(input).encode({ count: 5n });
  assert.deepEqual(codecOf(Counter.method.count.input).decode(encoded, 0, encoded.length).count, 5n);
});

test("descriptors themselves, proto2 with groups and extensions, pass through the compiled codec unchanged", () => {
  const bytes = descriptorSetOf([Counter]);
  const codec = codecOf(FileDescriptorSetSchema);
  const set = codec.decode(bytes, 0, bytes.length);
  assert.deepStrictEqual(set, fromBinary(FileDescriptorSetSchema, bytes));
  assert.deepEqual(Buffer.from(codec.encode(set)), Buffer.from(bytes));
});

test("files come once, dependencies first", () => {
  const names = fromBinary(FileDescriptorSetSchema, descriptorSetOf([Counter, Counter])).file.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.indexOf("google/api/http.proto") < names.indexOf("google/api/annotations.proto"));
  assert.equal(names.at(-1), "counter/v1/counter.proto");
});

test("descriptors that are incomplete or broken are refused", () => {
  const set = fromBinary(FileDescriptorSetSchema, descriptorSetOf([Counter]));
  const incomplete = toBinary(FileDescriptorSetSchema, { ...set, file: set.file.slice(-1) });
  for (const work of [
    () => parseContractSet(incomplete),
    () => parseContractSet(Buffer.from("not descriptors")),
    () => parseContractSet(descriptorSetOf([Counter]), ["counter.v1.Other"]),
  ]) {
    assert.throws(work, (error: unknown) => error instanceof WeftError && error.reason === "BAD_DESCRIPTORS");
  }
});
