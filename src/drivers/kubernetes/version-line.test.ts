import assert from "node:assert/strict";
import { test } from "node:test";
import { VersionLine } from "./version-line.ts";

test("versions are Kubernetes' own, and come back as they were", () => {
  const line = new VersionLine();
  assert.equal(line.of("205"), 205);
  assert.equal(line.of("201"), 201, "what has not changed for long");
  assert.equal(line.resourceVersionOf(205), "205");
  assert.equal(line.isReplaced("206", line.mark), false);
});

test("a write with less than what was seen before it tells other data, and versions go on above", () => {
  const line = new VersionLine();
  const before = line.of("900");
  const { mark } = line;
  assert.equal(line.isReplaced("210", mark), true);
  assert.equal(line.isReplaced("211", mark), false, "asked before that was known, too");
  assert.ok(line.of("210") > before);
  assert.equal(line.resourceVersionOf(line.of("210")), "210");
  assert.equal(line.resourceVersionOf(before), null);
  assert.equal(line.isReplaced("150", line.mark), true, "and again");
  assert.ok(line.of("150") > 210 + 900);
});
