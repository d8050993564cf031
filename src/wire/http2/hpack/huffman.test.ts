import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeHuffman, MALFORMED, TOO_LONG } from "./huffman.ts";

function decode(hex: string, limit = 100): string | number {
  const bytes = Buffer.from(hex, "hex");
  const out = Buffer.alloc(100);
  const length = decodeHuffman(bytes, 0, bytes.length, out, limit);
  return length < 0 ? length : out.toString("latin1", 0, length);
}

test("strings of RFC 7541 appendix C decode", () => {
  assert.equal(decode("f1e3c2e5f23a6ba0ab90f4ff"), "www.example.com");
  assert.equal(decode("a8eb10649cbf"), "no-cache");
  assert.equal(decode("9d29ad171863c78f0b97c8e9ae82ae43d3"), "https://www.example.com");
  assert.equal(decode(""), "");
});

test("symbols with the longest codes decode", () => {
  // 30 bits of 0x3ffffffc (line feed), padded with two ones.
  assert.equal(decode("fffffff3"), "\n");
  // 28 bits of 0xfffffe2 (0x02), padded with four ones.
  assert.equal(decode("fffffe2f"), "\x02");
});

test("EOS, and padding that is too long or not all ones, are malformed", () => {
  assert.equal(decode("ffffffff"), MALFORMED);
  assert.equal(decode("1fff"), MALFORMED); // "a" and 11 ones
  assert.equal(decode("18"), MALFORMED); // "a" and 000
  assert.equal(decode("ff"), MALFORMED); // 8 ones of padding
});

test("output beyond the limit is refused", () => {
  assert.equal(decode("f1e3c2e5f23a6ba0ab90f4ff", 14), TOO_LONG);
});
