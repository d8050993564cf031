import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FrameReader } from "./frame-reader.ts";

/** Every message of the stream, which comes in such pieces; null at the end when it broke. */
function readAll(pieces: readonly Uint8Array[], maxBytes = 4_096): (Uint8Array | null)[] {
  const reader = new FrameReader(maxBytes);
  const found: (Uint8Array | null)[] = [];
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const next = reader.next(piece, at, piece.length);
      assert.ok(next.at > at);
      at = next.at;
      if (next.failed) return [...found, null];
      if (next.message !== null) found.push(next.message);
    }
  }
  return found;
}

test("messages come out whole, however the stream was cut", () => {
  const message = fc.uint8Array({ minLength: 1, maxLength: 700 });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 40 })), (messages, cuts) => {
      const stream = Uint8Array.from(messages.flatMap((own) => [own.length >> 8, own.length & 0xff, ...own]));
      const pieces: Uint8Array[] = [];
      let at = 0;
      for (const size of cuts) pieces.push(stream.subarray(at, (at = Math.min(stream.length, at + size))));
      pieces.push(stream.subarray(at));
      assert.deepEqual(readAll(pieces), messages);
    }),
  );
});

test("an empty message, and one that is too long, end the stream", () => {
  assert.deepEqual(readAll([Uint8Array.of(0, 1, 9, 0, 0, 5)]), [Uint8Array.of(9), null]);
  assert.deepEqual(readAll([Uint8Array.of(0x10, 0x01, 1, 2)]), [null]);
});
