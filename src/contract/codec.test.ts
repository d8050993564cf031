import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { extra, GroupedSchema, RequiredSchema, Types2Schema } from "../../tests/gen/fixtures/v1/types2.ts";
import { type Color, InnerSchema, NothingSchema, Types3Schema } from "../../tests/gen/fixtures/v1/types3.ts";
import { DelimitedSchema, Types2023Schema } from "../../tests/gen/fixtures/v1/types2023.ts";
import { WeftError } from "../core/errors.ts";
import { arbitraryMessage } from "./arbitrary.case.ts";
import { codecOf, scratch } from "./codec.ts";
import {
  create,
  type DescMessage,
  fromBinary,
  getExtension,
  type MessageShape,
  ScalarType,
  setExtension,
  toBinary,
} from "./runtime.ts";

const SCHEMAS = [
  Types3Schema,
  InnerSchema,
  Types2Schema,
  RequiredSchema,
  GroupedSchema,
  Types2023Schema,
  DelimitedSchema,
] as unknown as DescMessage[];

for (const desc of SCHEMAS) {
  const codec = codecOf(desc);
  const init = arbitraryMessage(desc);

  test(`${desc.typeName}: encodes an initialiser and a message to protobuf-es's bytes`, () => {
    fc.assert(
      fc.property(init, (plain) => {
        const message = create(desc, plain);
        const bytes = Buffer.from(toBinary(desc, message));
        assert.deepEqual(Buffer.from(codec.encode(plain as never)), bytes);
        assert.deepEqual(Buffer.from(codec.encode(message as never)), bytes);
      }),
      { numRuns: 150 },
    );
  });

  test(`${desc.typeName}: decodes to protobuf-es's messages, wherever the bytes lie`, () => {
    fc.assert(
      fc.property(init, fc.uint8Array({ maxLength: 5 }), (plain, around) => {
        const bytes = toBinary(desc, create(desc, plain));
        const chunk = Buffer.concat([around, bytes, around]);
        assert.deepStrictEqual(
          codec.decode(chunk, around.length, around.length + bytes.length),
          fromBinary(desc, bytes),
        );
      }),
      { numRuns: 150 },
    );
  });

  test(`${desc.typeName}: merges what is there twice as protobuf-es does`, () => {
    fc.assert(
      fc.property(init, init, (first, second) => {
        const bytes = new Uint8Array(
          Buffer.concat([first, second].map((plain) => toBinary(desc, create(desc, plain)))),
        );
        assert.deepStrictEqual(codec.decode(bytes, 0, bytes.length), fromBinary(desc, bytes));
      }),
      { numRuns: 100 },
    );
  });

  test(`${desc.typeName}: keeps what is unknown and writes it back`, () => {
    const nothing = codecOf(NothingSchema);
    fc.assert(
      fc.property(init, (plain) => {
        const bytes = toBinary(desc, create(desc, plain));
        const kept = nothing.decode(bytes, 0, bytes.length);
        assert.deepStrictEqual(kept, fromBinary(NothingSchema, bytes));
        assert.deepEqual(Buffer.from(nothing.encode(kept)), Buffer.from(bytes));
      }),
      { numRuns: 100 },
    );
  });

  test(`${desc.typeName}: accepts and refuses changed bytes as the wire format says`, () => {
    const change = fc.record({
      at: fc.nat(),
      byte: fc.nat(255),
      kind: fc.constantFrom("set", "cut", "insert", "remove"),
    });
    fc.assert(
      fc.property(init, fc.array(change, { minLength: 1, maxLength: 3 }), (plain, changes) => {
        let bytes = Array.from(toBinary(desc, create(desc, plain)));
        for (const { at, byte, kind } of changes) {
          const index = bytes.length === 0 ? 0 : at % bytes.length;
          if (kind === "set") bytes[index] = byte;
          else if (kind === "cut") bytes = bytes.slice(0, index);
          else bytes.splice(index, kind === "remove" ? 1 : 0, ...(kind === "insert" ? [byte] : []));
        }
        compareWithOracle(desc, Uint8Array.from(bytes));
      }),
      { numRuns: 400 },
    );
  });

  test(`${desc.typeName}: survives random bytes`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => compareWithOracle(desc, bytes)),
      { numRuns: 400 },
    );
  });
}

test("reads what conforming writers may send", () => {
  const cases: [string, Partial<MessageShape<typeof Types3Schema>>][] = [
    ["18ffffffffffffffffff01", { fInt32: -1 }], // int32 in 10 bytes
    ["18808080808010", { fInt32: 0 }], // bits above 32 are dropped
    ["1880808080808080808001", { fInt32: 0 }],
    ["6880808080808080808001", { fBool: true }], // any bit makes true
    ["8001ffffffffffffffffff01", { fColor: -1 as Color }], // open enums keep what they do not know
    ["180118021803", { fInt32: 3 }], // the last one wins
    ["8a02020102880203", { rInt32: [1, 2, 3] }], // packed and not, mixed
    ["82030101" + "800302", { rUnpacked: [1, 2] }],
    ["9a0300", { mString: { "": "" } }], // an entry without key and value
    ["9a0305" + "0a0161" + "12009a0306" + "0a0161" + "120178", { mString: { a: "x" } }],
    ["e80305f2030161", { kind: { case: "kString", value: "a" } }], // the last member of a oneof wins
    ["fa03030a0161" + "e80305", { kind: { case: "kInt32", value: 5 } }],
    ["090000000000000080", { fDouble: -0 }],
    ["7203efbbbf", { fString: "\ufeff" }], // a byte order mark is text
    ["7203efbfbd", { fString: "\ufffd" }], // and so is a replacement character
    ["a00680808080808080808001", {}],
  ];
  for (const [hex, expected] of cases) {
    const bytes = Buffer.from(hex, "hex");
    const message = codecOf(Types3Schema).decode(bytes, 0, bytes.length);
    for (const [name, value] of Object.entries(expected))
      assert.deepEqual(message[name as keyof typeof message], value, hex);
  }
});

test("names message and cause of malformed bytes", () => {
  const codec = codecOf(Types3Schema);
  for (const hex of [
    "08",
    "72ff",
    "7203616263ff",
    "00",
    "06",
    "72ffffffff0f",
    "0c",
    "7202c328",
    "20ffffffffffffffffffffff01",
  ]) {
    const bytes = Buffer.from(hex, "hex");
    assert.throws(
      () => codec.decode(bytes, 0, bytes.length),
      (error: unknown) =>
        error instanceof WeftError && error.code === "invalid_argument" && /fixtures\.v1\.Types3/.test(error.message),
      hex,
    );
  }
});

test("bytes behind the end are never read into a message", () => {
  const codec = codecOf(Types3Schema);
  const bytes = toBinary(Types3Schema, create(Types3Schema, { fString: "abc" }));
  const chunk = Buffer.concat([bytes.subarray(0, 3), Buffer.from("zzzzzz")]);
  assert.throws(() => codec.decode(chunk, 0, 3), /cut off/);
  const nested = Buffer.from("8a01020a05" + "6162636465", "hex"); // the inner string is longer than the inner message
  assert.throws(() => codec.decode(nested, 0, nested.length), /cut off/);
});

test("a field with another wire type is unknown, not misread", () => {
  const bytes = Buffer.from("1a0568656c6c6f", "hex"); // field 3 is an int32, sent as a string
  const message = codecOf(Types3Schema).decode(bytes, 0, bytes.length);
  assert.equal(message.fInt32, 0);
  assert.deepEqual(
    message.$unknown?.map(({ no, wireType }) => [no, wireType]),
    [[3, 2]],
  );
});

test("100 levels of messages are read and written, 101 are refused", () => {
  const codec = codecOf(InnerSchema);
  const nest = (levels: number) => {
    let message: { name?: string; child?: unknown } = { name: "bottom" };
    for (let i = 1; i < levels; i++) message = { child: message };
    return message;
  };
  const bytes = codec.encode(nest(100) as never);
  assert.deepStrictEqual(codec.decode(bytes, 0, bytes.length), fromBinary(InnerSchema, bytes));
  assert.throws(() => codec.encode(nest(101) as never), /nested deeper than 100/);
  const deeper = toBinary(InnerSchema, create(InnerSchema, nest(101) as never));
  assert.throws(() => codec.decode(deeper, 0, deeper.length), /nested deeper than 100/);
  const loop: { child?: unknown } = {};
  loop.child = loop;
  assert.throws(() => codec.encode(loop as never), /nested deeper than 100/);
});

test("repeating a Struct a hundred thousand times costs no more than its bytes", () => {
  const one = toBinary(Types3Schema, create(Types3Schema, { wStruct: { key: 1 } }));
  const bytes = Buffer.concat(Array.from({ length: 100_000 }, () => one));
  const before = process.cpuUsage();
  assert.deepEqual(codecOf(Types3Schema).decode(bytes, 0, bytes.length).wStruct, { key: 1 });
  assert.ok(process.cpuUsage(before).user < 2_000_000);
});

test("encode names the field of a wrong value", () => {
  const codec = codecOf(Types3Schema);
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ fInt32: 1.5 }, /Types3\.f_int32 must be a 32-bit integer, not 1\.5/],
    [{ fInt32: 2 ** 31 }, /f_int32/],
    [{ fInt32: Number.NaN }, /f_int32/],
    [{ fUint32: -1 }, /f_uint32/],
    [{ fInt64: 2n ** 63n }, /f_int64 must be a 64-bit integer/],
    [{ fUint64: -1n }, /f_uint64/],
    [{ fInt64: 0.5 }, /f_int64/],
    [{ fInt64: Number.NaN }, /f_int64/],
    [{ fTextInt64: "x" }, /f_text_int64/],
    [{ fString: 5 }, /f_string must be a string, not 5/],
    [{ fString: 0 }, /f_string/],
    [{ fBool: "yes" }, /f_bool must be a boolean, not "yes"/],
    [{ fBytes: "abc" }, /f_bytes/],
    [{ fFloat: 1e39 }, /f_float/],
    [{ fDouble: "1" }, /f_double/],
    [{ fInner: 5 }, /f_inner must be a message/],
    [{ rString: "abc" }, /r_string must be an array/],
    [{ rInt32: [1, "2"] }, /r_int32/],
    [{ rInner: [null] }, /r_inner/],
    [{ mInt32: { x: 1n } }, /m_int32 must be an integer as its key/],
    [{ mBool: { maybe: 1 } }, /m_bool/],
    [{ $typeName: "other.Type" }, /expected a fixtures\.v1\.Types3/],
  ];
  for (const [plain, message] of wrong) {
    assert.throws(
      () => codec.encode(plain as never),
      (error: unknown) =>
        error instanceof WeftError && error.code === "invalid_argument" && message.test(error.message),
      JSON.stringify(plain, (_, value) => (typeof value === "bigint" ? `${value}n` : value)),
    );
  }
  assert.throws(() => codecOf(RequiredSchema).encode({}), /Required\.id is required/);
});

test("int64 fields also take safe integers and decimal strings", () => {
  const codec = codecOf(Types3Schema);
  const bytes = codec.encode({ fInt64: -5, fUint64: "7", rInt64: [1, 2n] } as never);
  assert.deepEqual(Buffer.from(bytes), Buffer.from(codec.encode({ fInt64: -5n, fUint64: 7n, rInt64: [1n, 2n] })));
});

test("extensions travel as unknown fields", () => {
  const message = create(Types2Schema);
  setExtension(message, extra, "more");
  const bytes = codecOf(Types2Schema).encode(message);
  assert.equal(getExtension(codecOf(Types2Schema).decode(bytes, 0, bytes.length), extra), "more");
});

test("encodeScratch leaves the prefix free and grows the scratch as far as needed", () => {
  const text = "x".repeat(300_000);
  const end = codecOf(InnerSchema).encodeScratch({ child: { name: text } }, 5);
  assert.ok(scratch.bytes.length >= end);
  assert.equal(codecOf(InnerSchema).decode(scratch.bytes, 5, end).child?.name, text);
});

test("the scratch shrinks again after a huge message", () => {
  const codec = codecOf(InnerSchema);
  const text = "ä😈".repeat(5_000_000);
  const bytes = codec.encode({ name: text });
  assert.ok(scratch.bytes.length > 8_000_000);
  assert.equal(codec.decode(bytes, 0, bytes.length).name, text);
  codec.encode({ name: "small" });
  assert.ok(scratch.bytes.length < 100_000);
});

test("decoded strings and bytes are copies", () => {
  const bytes = Buffer.from(
    codecOf(Types3Schema).encode({ fBytes: new Uint8Array([1, 2, 3]), fString: "a text longer than sixteen" }),
  );
  const message = codecOf(Types3Schema).decode(bytes, 0, bytes.length);
  bytes.fill(0);
  assert.deepEqual(message.fBytes, new Uint8Array([1, 2, 3]));
  assert.equal(message.fString, "a text longer than sixteen");
});

test("works by reflection where code from strings is forbidden", () => {
  const script = `
    const { codecOf, TimestampSchema } = await import(${JSON.stringify(new URL("./index.ts", import.meta.url).href)});
    const bytes = codecOf(TimestampSchema).encode({ seconds: 5n });
    console.log(codecOf(TimestampSchema).constructor.name, codecOf(TimestampSchema).decode(bytes, 0, bytes.length).seconds);`;
  const args = ["-C", "weft-source", "--disallow-code-generation-from-strings", "--input-type=module", "-e", script];
  assert.match(execFileSync(process.execPath, args, { encoding: "utf8" }), /^ReflectCodec 5n/);
});

// --- the oracle: what the wire format says of bytes, independent of both implementations ---------------------------------

/** protobuf-es is lax about lengths that lie and about wire types, so it is asked only where neither is wrong. */
function compareWithOracle(desc: DescMessage, bytes: Uint8Array): void {
  const outcome = attempt(() => codecOf(desc).decode(bytes, 0, bytes.length));
  if (outcome.error !== undefined) assert.ok(outcome.error instanceof WeftError, String(outcome.error));
  const verdict = judge(knownFields(desc), bytes, 0, bytes.length, 1);
  if (hasGroups(desc)) return; // decoded by protobuf-es itself
  if (verdict === "malformed") assert.ok(outcome.error !== undefined, "malformed bytes were accepted");
  if (verdict !== "clean") return;
  const theirs = attempt(() => fromBinary(desc, bytes));
  assert.equal(
    outcome.error === undefined,
    theirs.error === undefined,
    `ours: ${outcome.error}, theirs: ${theirs.error}`,
  );
  if (outcome.error === undefined)
    assert.deepStrictEqual(comparable(desc, outcome.value), comparable(desc, theirs.value));
}

/** protobuf-es loses unknown fields beside unknown values of closed enums. */
function comparable(desc: DescMessage, message: unknown): unknown {
  if (desc.file.edition === 999) return message;
  const strip = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
    if (Array.isArray(value)) return value.map(strip);
    return Object.fromEntries(
      Object.entries(value).flatMap(([key, inner]) => (key === "$unknown" ? [] : [[key, strip(inner)]])),
    );
  };
  return strip(message);
}

function hasGroups(desc: DescMessage): boolean {
  return desc.fields.some((field) => "delimitedEncoding" in field && field.delimitedEncoding);
}

function attempt(work: () => unknown): { value?: unknown; error?: unknown } {
  try {
    return { value: work() };
  } catch (error) {
    return { error };
  }
}

type Verdict = "clean" | "odd" | "malformed";

/** What a field's bytes may be. */
interface Known {
  number: number;
  wireTypes: readonly number[];
  /** What a value of wire type 2 holds: fields, or elements of this wire type one behind the other. */
  inside?: (() => Known[]) | number;
}

function knownFields(desc: DescMessage): Known[] {
  return desc.fields.map((field) => {
    const { number, message } = field;
    if (field.fieldKind === "map") {
      const value =
        message === undefined
          ? { wireTypes: [wireTypeOf(field.scalar)] }
          : { wireTypes: [2], inside: () => knownFields(message) };
      const entry = [
        { number: 1, wireTypes: [wireTypeOf(field.mapKey)] },
        { number: 2, ...value },
      ];
      return { number, wireTypes: [2], inside: () => entry };
    }
    if (message !== undefined) return { number, wireTypes: [2], inside: () => knownFields(message) };
    const single = wireTypeOf(field.scalar);
    if (field.fieldKind !== "list" || single === 2) return { number, wireTypes: [single] };
    return { number, wireTypes: [single, 2], inside: single };
  });
}

/** Undefined is an enum. */
function wireTypeOf(scalar: ScalarType | undefined): number {
  if (scalar === ScalarType.STRING || scalar === ScalarType.BYTES) return 2;
  if (scalar === ScalarType.DOUBLE || scalar === ScalarType.FIXED64 || scalar === ScalarType.SFIXED64) return 1;
  return scalar === ScalarType.FLOAT || scalar === ScalarType.FIXED32 || scalar === ScalarType.SFIXED32 ? 5 : 0;
}

function judge(fields: readonly Known[], b: Uint8Array, start: number, end: number, depth: number): Verdict {
  let p = start;
  let odd = false;
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      if (p >= end) return -1;
      const byte = b[p++];
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    return -1;
  };
  while (p < end) {
    const tag = varint();
    if (tag < 0 || tag >= 2 ** 32) return "malformed";
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    if (number === 0 || wireType > 5 || wireType === 4) return "malformed";
    if (wireType === 3) return "odd"; // groups have tests of their own
    if (wireType === 0 && varint() < 0) return "malformed";
    if (wireType === 1) p += 8;
    if (wireType === 5) p += 4;
    let length = 0;
    if (wireType === 2) {
      length = varint();
      if (length < 0) return "malformed";
      if (length >= 2 ** 32) return "odd";
      p += length;
    }
    if (p > end) return "malformed";
    const field = fields.find((candidate) => candidate.number === number);
    if (field === undefined) continue;
    if (!field.wireTypes.includes(wireType)) odd = true;
    else if (wireType === 2 && typeof field.inside === "number") {
      if (!areElements(field.inside, b, p - length, p)) return "malformed";
    } else if (wireType === 2 && typeof field.inside === "function" && depth < 100) {
      const inner = judge(field.inside(), b, p - length, p, depth + 1);
      if (inner === "malformed") return "malformed";
      if (inner === "odd") odd = true;
    }
  }
  return odd ? "odd" : "clean";
}

function areElements(wireType: number, b: Uint8Array, start: number, end: number): boolean {
  if (wireType !== 0) return (end - start) % (wireType === 1 ? 8 : 4) === 0;
  let length = 0;
  for (let p = start; p < end; p++) {
    length = b[p] < 128 ? 0 : length + 1;
    if (length === 10) return false;
  }
  return length === 0;
}
