import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { JuteFrames, JuteReader, JuteWriter } from "./jute.ts";

const value = fc.oneof(
  fc.record({ kind: fc.constant("int" as const), value: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) }),
  fc.record({ kind: fc.constant("long" as const), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
  fc.record({ kind: fc.constant("bool" as const), value: fc.boolean() }),
  fc.record({ kind: fc.constant("text" as const), value: fc.string({ unit: "grapheme", maxLength: 600 }) }),
  fc.record({ kind: fc.constant("buffer" as const), value: fc.uint8Array({ maxLength: 600 }) }),
);

function write(values: readonly { kind: string; value: unknown }[]): Buffer {
  const writer = new JuteWriter();
  for (const { kind, value } of values) (writer[kind as "int"] as (value: unknown) => unknown).call(writer, value);
  return writer.frame();
}

test("what is written is read, in any order and length", () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 30 }), (values) => {
      const [frame] = new JuteFrames(1_000_000).take(write(values));
      const reader = new JuteReader(frame);
      for (const { kind, value } of values) {
        const read = reader[kind]();
        assert.deepEqual(read, kind === "text" ? Buffer.from(value as string).toString() : value);
      }
      assert.equal(reader.left, 0);
    }),
  );
});

test("a stream is cut into the same frames wherever it is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 }),
      fc.array(fc.nat(600), { maxLength: 20 }),
      (bodies, cuts) => {
        const stream = Buffer.concat(bodies.map((body) => new JuteWriter().buffer(body).frame()));
        const frames = new JuteFrames(1_000);
        const read: Buffer[] = [];
        const at = [0, ...cuts.map((cut) => Math.min(cut, stream.length)), stream.length].sort((a, b) => a - b);
        for (let i = 1; i < at.length; i++) {
          if (at[i] > at[i - 1]) read.push(...frames.take(stream.subarray(at[i - 1], at[i])));
        }
        assert.deepEqual(
          read.map((frame) => new JuteReader(frame).buffer()),
          bodies,
        );
      },
    ),
  );
});

test("frames that are too long, or negative, are refused before they are kept", () => {
  const length = (value: number) => new JuteWriter().int(value).frame().subarray(4);
  assert.throws(() => new JuteFrames(100).take(length(101)), RangeError);
  assert.throws(() => new JuteFrames(100).take(length(-1)), RangeError);
  assert.deepEqual(new JuteFrames(100).take(length(100)), []);
});

test("no bytes make a reader do anything but read or refuse, within what is there", () => {
  const kinds = fc.array(fc.constantFrom("int", "long", "bool", "text", "buffer", "list"), { maxLength: 20 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), kinds, (bytes, kinds) => {
      const reader = new JuteReader(Buffer.from(bytes));
      try {
        for (const kind of kinds) {
          if (kind === "list") reader.list(() => reader.int());
          else reader[kind as "int"]();
        }
      } catch (thrown) {
        assert.ok(thrown instanceof RangeError, String(thrown));
      }
    }),
  );
});

test("a list longer than what is left is refused before room is made for it", () => {
  const bytes = new JuteWriter().int(0x7fff_ffff).int(1).frame().subarray(4);
  assert.throws(() => new JuteReader(bytes).list(() => 0), /a list of 2147483647 in 4 bytes/);
});
