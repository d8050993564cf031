import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../core/errors.ts";
import { copyBytes } from "./copy-bytes.ts";
import { MessageReader } from "./message-reader.ts";

test("messages come out whole and in order however the body is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 300 })),
      (messages, cuts) => {
        const body = Buffer.concat(messages.map((message) => frame(message)));
        const reader = new MessageReader(1_000);
        const seen: Uint8Array[] = [];
        const sink = {
          onMessage: (bytes: Uint8Array, start: number, end: number) => void seen.push(copyBytes(bytes, start, end)),
        };
        let at = 0;
        for (const cut of cuts) {
          const next = Math.min(body.length, at + cut);
          // A buffer of its own, wiped afterwards: what the reader needs later it must have copied.
          const chunk = Buffer.from(body.subarray(at, next));
          reader.read(chunk, 0, chunk.length, sink);
          chunk.fill(0xee);
          at = next;
        }
        reader.read(body, at, body.length, sink);
        assert.deepEqual(
          seen.map((bytes) => [...bytes]),
          messages.map((bytes) => [...bytes]),
        );
        assert.equal(reader.pendingBytes, 0);
      },
    ),
  );
});

test("a message larger than the limit is refused by its prefix, before its bytes come", () => {
  const reader = new MessageReader(10);
  assert.throws(
    () => reader.read(Uint8Array.of(0, 0, 0, 0, 11), 0, 5, { onMessage() {} }),
    (error: unknown) => {
      return error instanceof WeftError && error.code === "resource_exhausted" && error.reason === "MESSAGE_TOO_LARGE";
    },
  );
});

test("an unknown flag is refused", () => {
  const reader = new MessageReader(10);
  assert.throws(() => reader.read(Uint8Array.of(7, 0, 0, 0, 0), 0, 5, { onMessage() {} }), /flag 7/);
});

test("a claimed length allocates nothing by itself", () => {
  const reader = new MessageReader(0xffff_ffff);
  reader.read(Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3), 0, 8, { onMessage() {} });
  assert.equal(reader.pendingBytes, 8);
});

function frame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
