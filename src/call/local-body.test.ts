import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpStream } from "../wire/stream.ts";
import { LocalBody } from "./local-body.ts";

test("a body goes in slices, waits while the caller does not read, and ends once", () => {
  const body = Uint8Array.from({ length: 200_000 }, (_, i) => i & 255);
  const got: number[] = [];
  let ends = 0;
  let room = 1;
  const stream = {
    closed: false,
    sendData(bytes: Uint8Array, start: number, end: number, fin: boolean) {
      got.push(...bytes.subarray(start, end));
      if (fin) ends++;
      return --room > 0;
    },
  };
  const local = new LocalBody(stream as unknown as HttpStream, body);
  assert.equal(local.send(), false);
  assert.equal(got.length, 65_536);
  room = 2;
  assert.equal(local.send(), false);
  room = 9;
  assert.equal(local.send(), true);
  assert.deepEqual([Uint8Array.from(got), ends], [body, 1]);
  stream.closed = true;
  assert.equal(new LocalBody(stream as unknown as HttpStream, body).send(), true);
});
