import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineSplitter } from "./lines.ts";

function split(chunks: readonly Uint8Array[], maxLineBytes?: number): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line), maxLineBytes);
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}

test("lines are the same however the bytes are cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[aé€\u{1f600} ]{0,12}$/u), { minLength: 1 }),
      fc.integer({ min: 1, max: 7 }),
      (lines, size) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
        const chunks: Uint8Array[] = [];
        for (let i = 0; i < bytes.length; i += size) chunks.push(bytes.subarray(i, i + size));
        assert.deepEqual(split(chunks), lines);
      },
    ),
  );
});

test("a carriage return before the end of line is not part of it, and the last line needs no end", () => {
  assert.deepEqual(split([Buffer.from("a\r\n\r\nb\rc")]), ["a", "", "b\rc"]);
});

test("a line without end is handed over in pieces of bounded size", () => {
  const lines = split([Buffer.alloc(100, "x"), Buffer.alloc(30, "y"), Buffer.from("\nz\n")], 50);
  assert.deepEqual(
    lines.map((line) => line.length),
    [50, 50, 30, 1],
  );
});
