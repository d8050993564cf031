import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HpackDecoder } from "./decoder.ts";
import { FieldKind } from "./field.ts";

/** Feeds blocks to one decoder and returns what each gave, as "name: value" lines. */
function decodeAll(tableBytes: number, blocks: string[]): { fields: string[]; table: string[]; size: number }[] {
  const decoder = new HpackDecoder(tableBytes, 65_536, 256);
  return blocks.map((hex) => {
    const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
    assert.ok(decoder.decode(bytes, 0, bytes.length), `block ${hex} must decode`);
    const table: string[] = [];
    for (let i = 0; i < decoder.table.length; i++) {
      const entry = decoder.table.at(i);
      table.push(`${entry?.name}: ${entry?.value}`);
    }
    const fields = decoder.fields.map((field) => `${field.name}: ${field.value}`);
    return { fields, table, size: decoder.table.size };
  });
}

const GET = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];

test("RFC 7541 appendix C.2: single representations", () => {
  const literal = decodeAll(4096, ["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"])[0];
  assert.deepEqual(literal, { fields: ["custom-key: custom-header"], table: ["custom-key: custom-header"], size: 55 });
  assert.deepEqual(decodeAll(4096, ["040c 2f73 616d 706c 652f 7061 7468"])[0], {
    fields: [":path: /sample/path"],
    table: [],
    size: 0,
  });
  assert.deepEqual(decodeAll(4096, ["1008 7061 7373 776f 7264 0673 6563 7265 74"])[0], {
    fields: ["password: secret"],
    table: [],
    size: 0,
  });
  assert.deepEqual(decodeAll(4096, ["82"])[0], { fields: [":method: GET"], table: [], size: 0 });
});

for (const [name, blocks] of [
  [
    "C.3: requests without Huffman code",
    [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
  ],
  [
    "C.4: requests with Huffman code",
    [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
  ],
] as const) {
  test(`RFC 7541 appendix ${name}`, () => {
    const [first, second, third] = decodeAll(4096, [...blocks]);
    assert.deepEqual(first, { fields: GET, table: [":authority: www.example.com"], size: 57 });
    assert.deepEqual(second.fields, [...GET, "cache-control: no-cache"]);
    assert.equal(second.size, 110);
    assert.deepEqual(third.fields, [
      ":method: GET",
      ":scheme: https",
      ":path: /index.html",
      ":authority: www.example.com",
      "custom-key: custom-value",
    ]);
    assert.deepEqual(third.table, [
      "custom-key: custom-value",
      "cache-control: no-cache",
      ":authority: www.example.com",
    ]);
    assert.equal(third.size, 164);
  });
}

for (const [name, blocks] of [
  [
    "C.5: responses without Huffman code, with eviction",
    [
      "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "4803 3330 37c1 c0bf",
      "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ],
  ],
  [
    "C.6: responses with Huffman code, with eviction",
    [
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
      "4883 640e ffc1 c0bf",
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ],
  ],
] as const) {
  test(`RFC 7541 appendix ${name}`, () => {
    const [first, second, third] = decodeAll(256, [...blocks]);
    assert.deepEqual(first.fields, [
      ":status: 302",
      "cache-control: private",
      "date: Mon, 21 Oct 2013 20:13:21 GMT",
      "location: https://www.example.com",
    ]);
    assert.equal(first.size, 222);
    assert.deepEqual(second.fields, [":status: 307", ...first.fields.slice(1)]);
    assert.equal(second.size, 222);
    assert.deepEqual(third.fields, [
      ":status: 200",
      "cache-control: private",
      "date: Mon, 21 Oct 2013 20:13:22 GMT",
      "location: https://www.example.com",
      "content-encoding: gzip",
      "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ]);
    assert.equal(third.size, 215);
    assert.equal(third.table.length, 3);
  });
}

test("what RFC 7541 calls a decoding error is refused", () => {
  const cases: Record<string, string> = {
    "index 0": "80",
    "an index beyond both tables": "be",
    "a name index beyond both tables": "7f0001 61",
    "an integer cut off": "ff",
    "an integer that overflows": "ffffffffffffffff7f",
    "an integer of endless zeroes": "ff808080808080808000",
    "a string cut off": "0003 6162",
    "a value missing": "0001 61",
    "a Huffman string with EOS": "0084 ffffffff 00",
    "Huffman padding longer than 7 bits": "0082 1fff 00",
    "Huffman padding of zeroes": "0081 18 00",
    "a table size above the setting": "3fe21f",
    "a table size update after a field": "82 20",
  };
  for (const [what, hex] of Object.entries(cases)) {
    const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
    assert.equal(new HpackDecoder(4096, 65_536, 256).decode(bytes, 0, bytes.length), false, what);
  }
});

test("a block over the limits is decoded to its end, for the table's sake", () => {
  const decoder = new HpackDecoder(4096, 100, 256);
  // A long literal, then one with indexing.
  const long = Buffer.concat([Buffer.from("000161", "hex"), Buffer.from([0x78]), Buffer.alloc(0x78, 0x62)]);
  const indexed = Buffer.from("4001620163", "hex");
  const block = Buffer.concat([long, indexed]);
  assert.ok(decoder.decode(block, 0, block.length));
  assert.ok(decoder.tooLarge);
  assert.ok(decoder.decode(Buffer.from([0xbe]), 0, 1));
  assert.equal(decoder.fields[0].name, "b");
  assert.equal(decoder.tooLarge, false);
});

test("a block that repeats a large entry holds no more than the limit", () => {
  const decoder = new HpackDecoder(4096, 65_536, 256);
  const entry = Buffer.concat([Buffer.from("400161", "hex"), Buffer.from("7fa11e", "hex"), Buffer.alloc(4000, 0x62)]);
  const bomb = Buffer.concat([entry, Buffer.alloc(10_000, 0xbe)]);
  assert.ok(decoder.decode(bomb, 0, bomb.length));
  assert.ok(decoder.tooLarge);
  assert.ok(decoder.fields.length <= 17);
});

test("a table that the peer makes smaller forgets, and an entry larger than the table empties it", () => {
  const [, , last] = decodeAll(4096, ["4001610162", "4001630164 be bf", "20 82"]);
  assert.deepEqual(last, { fields: [":method: GET"], table: [], size: 0 });
  const large = Buffer.concat([Buffer.from("4001617f", "hex"), Buffer.from([0x01]), Buffer.alloc(128, 0x62)]);
  const decoder = new HpackDecoder(64, 65_536, 256);
  const small = Buffer.from("4001610162", "hex");
  decoder.decode(small, 0, small.length);
  assert.equal(decoder.table.length, 1);
  assert.ok(decoder.decode(large, 0, large.length));
  assert.equal(decoder.table.length, 0);
});

test("names and values with forbidden characters are marked, not dropped", () => {
  for (const [name, value] of [
    ["Upper", "x"],
    ["", "x"],
    ["a b", "x"],
    ["a:b", "x"],
    [":unknown", "x"],
    ["connection", "close"],
    ["te", "gzip"],
    ["x", " x"],
    ["x", "x\t"],
    ["x", "a\0b"],
    ["x", "a\r\nb: c"],
  ]) {
    const bytes = Buffer.concat([
      Buffer.from([0, name.length]),
      Buffer.from(name, "latin1"),
      Buffer.from([value.length]),
      Buffer.from(value, "latin1"),
    ]);
    const decoder = new HpackDecoder(4096, 65_536, 256);
    assert.ok(decoder.decode(bytes, 0, bytes.length));
    assert.equal(decoder.fields[0].kind, FieldKind.invalid, JSON.stringify([name, value]));
  }
});

test("random bytes never throw and never grow the table beyond its size", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (blocks) => {
      const decoder = new HpackDecoder(256, 1_000, 20);
      for (const block of blocks) {
        const bytes = Buffer.from(block);
        if (!decoder.decode(bytes, 0, bytes.length)) break;
        assert.ok(decoder.table.size <= 256);
        assert.ok(decoder.fields.length <= 20);
      }
    }),
    { numRuns: 500 },
  );
});
