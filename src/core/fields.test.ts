import assert from "node:assert/strict";
import { test } from "node:test";
import { cookieOf, fieldOf } from "./fields.ts";

test("the first value of a field is found", () => {
  const fields = ["accept", "a", "x-lane", "blue", "x-lane", "green"];
  assert.equal(fieldOf(fields, "x-lane"), "blue");
  assert.equal(fieldOf(fields, "x-la"), undefined);
});

test("a cookie is found by its whole name, in any of the cookie fields", () => {
  const fields = ["cookie", "id2=no;  sid=1 ; empty=", "accept", "sid=3", "cookie", "sid=2; other=a=b"];
  assert.equal(cookieOf(fields, "sid"), "1");
  assert.equal(cookieOf(fields, "id"), undefined);
  assert.equal(cookieOf(fields, "empty"), "");
  assert.equal(cookieOf(fields, "other"), "a=b");
  assert.equal(cookieOf([], "sid"), undefined);
});
