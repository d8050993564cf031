import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { requestHead } from "../head.ts";
import { BlockReader } from "./block-reader.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import { encodeHead, fieldsBound, writeFields } from "./hpack/encoder.ts";
import { type Block, REQUEST, readMessage, TRAILERS } from "./message.ts";

function reader(): BlockReader {
  return new BlockReader(4096, 65_536, 256);
}

function read(from: BlockReader, bytes: Buffer): Block {
  const padded = Buffer.concat([Buffer.from([0xee]), bytes, Buffer.from([0xee])]);
  return from.read(REQUEST, padded, 1, padded.length - 1) as Block;
}

const BASE = Buffer.from(
  encodeHead(requestHead("POST", "http", "shop:1", "/counter.v1.Counter/Count", ["te", "trailers"])),
);

function withExtra(extra: string[]): Buffer {
  const out = Buffer.alloc(BASE.length + fieldsBound(extra));
  BASE.copy(out);
  return out.subarray(0, writeFields(out, BASE.length, extra));
}

test("from the second time on, the same bytes give the same block", () => {
  const r = reader();
  read(r, BASE);
  const second = read(r, BASE);
  for (let i = 0; i < 3; i++) assert.equal(read(r, BASE), second);
  r.release();
  assert.notEqual(read(r, BASE), second);
});

test("the same bytes as another kind of message are judged anew", () => {
  const r = reader();
  const bytes = Buffer.from("0001610162", "hex");
  for (let i = 0; i < 3; i++) {
    assert.equal((r.read(REQUEST, bytes, 0, bytes.length) as Block).head, null);
    assert.notEqual((r.read(TRAILERS, bytes, 0, bytes.length) as Block).head, null);
  }
});

test("a constant beginning with a varying end gives what decoding it whole gives", () => {
  const r = reader();
  for (let i = 0; i < 50; i++) {
    const head = read(r, withExtra(["grpc-timeout", `${i}m`, "traceparent", `00-${i}-01`])).head;
    assert.equal(head?.path, "/counter.v1.Counter/Count");
    assert.deepEqual(head?.fields, ["te", "trailers", "grpc-timeout", `${i}m`, "traceparent", `00-${i}-01`]);
  }
});

test("a block that refers to the dynamic table is not taken for what it meant before the table changed", () => {
  const r = reader();
  const insert = (value: string) => Buffer.concat([Buffer.from("400178", "hex"), Buffer.from([1]), Buffer.from(value)]);
  const message = Buffer.from("83 86 84 01 01 61 be".replaceAll(" ", ""), "hex");
  const block = (bytes: Buffer) => Buffer.concat([Buffer.from("838684010161", "hex"), bytes]);
  for (const value of ["a", "b", "c"]) {
    read(r, block(insert(value)));
    for (let i = 0; i < 4; i++) assert.deepEqual(read(r, message).head?.fields, ["x", value]);
  }
});

test("whatever blocks come in whatever order, looking up gives what decoding gives", () => {
  const literal = (pattern: number) =>
    fc
      .tuple(fc.constantFrom("x", "y", "traceparent"), fc.constantFrom("1", "2", "long".repeat(9)))
      .map(([name, value]) =>
        Buffer.concat([
          Buffer.from([pattern, name.length]),
          Buffer.from(name),
          Buffer.from([value.length]),
          Buffer.from(value),
        ]),
      );
  const indexed = fc.constantFrom(0xbe, 0xbf, 0xc0, 0x90, 0x82).map((byte) => Buffer.from([byte]));
  const field = fc.oneof(literal(0x00), literal(0x40), literal(0x10), indexed);
  const start = fc.constantFrom(
    "838684010161",
    "838604022f62010161",
    "838684410161",
    "20838684010161",
    "3fe11f838684010161",
  );
  const block = fc
    .tuple(start, fc.array(field, { maxLength: 4 }))
    .map(([first, rest]) => Buffer.concat([Buffer.from(first, "hex"), ...rest]));
  fc.assert(
    fc.property(
      fc.array(block, { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat(5), { maxLength: 40 }),
      (some, order) => {
        const r = reader();
        const plain = new HpackDecoder(4096, 65_536, 256);
        for (const pick of order) {
          const bytes = some[pick % some.length];
          const expected = plain.decode(bytes, 0, bytes.length) ? readMessage(REQUEST, plain.fields) : null;
          const got = r.read(REQUEST, bytes, 0, bytes.length);
          assert.deepEqual(got?.head?.fields, expected?.head?.fields);
          assert.equal(got?.head?.path, expected?.head?.path);
          assert.equal(got?.fault, expected?.fault);
          if (got === null) break;
        }
      },
    ),
    { numRuns: 500 },
  );
});
