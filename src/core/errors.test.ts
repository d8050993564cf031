import assert from "node:assert/strict";
import { test } from "node:test";
import { codeNumber, codeOf, formatPlace, toWeftError, WeftError } from "./errors.ts";

test("codes and numbers are gRPC's, both ways", () => {
  assert.equal(codeNumber("cancelled"), 1);
  assert.equal(codeNumber("unauthenticated"), 16);
  for (let number = 1; number <= 16; number++) assert.equal(codeNumber(codeOf(number)), number);
  for (const number of [0, -1, 17, 1.5, Number.NaN]) assert.equal(codeOf(number), "unknown");
});

test("an unknown exception leaves without its text and keeps its cause", () => {
  const cause = new Error("password is hunter2");
  const error = toWeftError(cause);
  assert.equal(error.code, "internal");
  assert.ok(!error.message.includes("hunter2"));
  assert.equal(error.cause, cause);
  const own = new WeftError("not_found", "no user 7");
  assert.equal(toWeftError(own), own);
});

test("a place prints only what is known", () => {
  assert.equal(
    formatPlace({ file: "weft.config.ts", line: 3, column: 7, field: "services.a" }),
    "weft.config.ts:3:7 services.a",
  );
  assert.equal(formatPlace({ field: "name" }), "name");
  assert.equal(formatPlace(undefined), "");
});
