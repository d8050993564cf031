import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../../core/errors.ts";
import { frameMessage, PREFIX_BYTES, writeMessagePrefix } from "./message-prefix.ts";
import { MessageReader } from "./message-reader.ts";

class Collector {
  readonly seen: [payload: string, compressed: boolean][] = [];
  inPlaceIn: Uint8Array | null = null;
  inPlace = 0;

  onMessage(bytes: Uint8Array, start: number, end: number, compressed: boolean): void {
    if (bytes === this.inPlaceIn) this.inPlace++;
    this.seen.push([Buffer.from(bytes.subarray(start, end)).toString("hex"), compressed]);
  }
}

test("invariant 1: any split of the body into chunks gives the same messages", () => {
  const message = fc.tuple(fc.uint8Array({ maxLength: 700 }), fc.boolean());
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), fc.array(fc.nat(2_000)), (messages, cuts) => {
      const body = Buffer.concat(messages.map(([payload, compressed]) => frameMessage(payload, compressed)));
      const borders = [0, ...cuts.map((cut) => Math.min(cut, body.length)).sort((a, b) => a - b), body.length];
      const reader = new MessageReader(1_000);
      const collector = new Collector();
      for (let i = 1; i < borders.length; i++) reader.read(body, borders[i - 1], borders[i], collector);
      assert.deepEqual(
        collector.seen,
        messages.map(([payload, compressed]) => [Buffer.from(payload).toString("hex"), compressed]),
      );
      assert.equal(reader.pendingBytes, 0);
    }),
  );
});

test("whole messages are read in place", () => {
  const body = Buffer.concat([frameMessage(Buffer.from("one"), false), frameMessage(Buffer.from("two"), true)]);
  const collector = new Collector();
  collector.inPlaceIn = body;
  new MessageReader(10).read(body, 0, body.length, collector);
  assert.equal(collector.inPlace, 2);
});

test("a message over the limit is refused by its prefix, before its bytes come", () => {
  const prefix = new Uint8Array(PREFIX_BYTES);
  writeMessagePrefix(prefix, 0, 0xffff_ffff, false);
  for (const split of [0, 2, 5]) {
    const reader = new MessageReader(4_000_000);
    const isTooLarge = (thrown: unknown) => thrown instanceof WeftError && thrown.code === "resource_exhausted";
    assert.throws(() => {
      reader.read(prefix, 0, split, new Collector());
      reader.read(prefix, split, 5, new Collector());
    }, isTooLarge);
    assert.ok(reader.pendingBytes <= PREFIX_BYTES);
  }
});

test("an unknown flag is refused", () => {
  const isBadFrame = (thrown: unknown) => thrown instanceof WeftError && thrown.reason === "BAD_FRAME";
  assert.throws(() => new MessageReader(10).read(Uint8Array.of(2, 0, 0, 0, 0), 0, 5, new Collector()), isBadFrame);
});

test("a body that ends within a message leaves bytes pending", () => {
  const reader = new MessageReader(10);
  reader.read(frameMessage(Buffer.from("hello"), false), 0, 7, new Collector());
  assert.equal(reader.pendingBytes, 7);
});
