import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../core/errors.ts";
import { printError } from "./print-error.ts";
import { PLAIN, type Terminal } from "./terminal.ts";

test("an error that a service chose moves no cursor and sets no title", () => {
  let text = "";
  const terminal = { errColor: PLAIN, err: (part: string) => (text += part) } as unknown as Terminal;
  const hostile = "no\x1b[2J\x1b]0;owned\x07 such\x9b31m order\r\nsecond";
  printError(new WeftError("not_found", hostile, { reason: "X\x1b[31m" }), terminal);
  assert.equal(text, "error: no such31m order [X]\n  second\n");
});
