import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RCODE } from "./constants.ts";
import { ask } from "./message.case.ts";
import { encodeName, labelText, nameKey } from "./name.ts";
import { parseQuery } from "./query.ts";
import { WireReader } from "./wire-reader.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s+/g, ""), "hex"));

/** As `dig +qr` sent it: `dig products.weft SRV`, with its cookie. */
const DIG = hex(`
  9d0e 0120 0001 0000 0000 0001
  08 70726f6475637473 04 77656674 00 0021 0001
  00 0029 04d0 0000 0000 000c 000a 0008 5e1d2c3b4a596877`);
/** As glibc's resolver asks for AAAA. */
const GLIBC = hex("4c21 0100 0001 0000 0000 0000 08 70726f6475637473 04 77656674 00 001c 0001");

test("queries of dig and glibc are read", () => {
  const dig = parseQuery(DIG);
  assert.deepEqual(
    [dig?.id, dig?.rcode, dig?.name, dig?.type, dig?.class, dig?.questionEnd],
    [0x9d0e, 0, "products.weft.", 33, 1, 31],
  );
  assert.deepEqual(dig?.edns, { payloadBytes: 1232, dnssecOk: false });
  assert.equal(dig?.recursionDesired, true);
  const glibc = parseQuery(GLIBC);
  assert.deepEqual([glibc?.rcode, glibc?.name, glibc?.type, glibc?.edns], [0, "products.weft.", 28, null]);
});

test("the case of a name is kept", () => {
  assert.equal(parseQuery(ask("pRoDuCtS.WEFT."))?.name, "pRoDuCtS.WEFT.");
  assert.equal(nameKey("pRoDuCtS.WEFT."), "products.weft.");
});

test("what is wrong with a query is said by its code, and answers are not answered", () => {
  const head = (flags: string, counts: string): Uint8Array => hex(`0001 ${flags} ${counts}`);
  const question = "0161 00 0001 0001";
  const cases: [what: string, bytes: Uint8Array, rcode: number | undefined][] = [
    ["nothing", hex(""), undefined],
    ["half a header", hex("0001 0100 0001"), undefined],
    ["an answer", head("8180", "0001 0000 0000 0000"), undefined],
    ["a notification", head("2400", "0001 0000 0000 0000"), RCODE.NOTIMP],
    ["no question", head("0100", "0000 0000 0000 0000"), RCODE.FORMERR],
    ["two questions", hex(`0001 0100 0002 0000 0000 0000 ${question} ${question}`), RCODE.FORMERR],
    ["a count that does not hold", hex(`0001 0100 0001 0000 0000 0001 ${question}`), RCODE.FORMERR],
    ["a thousand records", hex(`0001 0100 0001 0000 0000 03e8 ${question}`), RCODE.FORMERR],
    ["something behind", hex(`0001 0100 0001 0000 0000 0000 ${question} 00`), RCODE.FORMERR],
    ["a name without end", hex("0001 0100 0001 0000 0000 0000 0361 6263"), RCODE.FORMERR],
    ["a reserved kind of label", hex("0001 0100 0001 0000 0000 0000 4161 00 0001 0001"), RCODE.FORMERR],
    ["a pointer to itself", hex("0001 0100 0001 0000 0000 0000 c00c 0001 0001"), RCODE.FORMERR],
    ["a pointer into the header", hex("0001 0100 0001 0000 0000 0000 c000 0001 0001"), RCODE.FORMERR],
    ["a pointer forward", hex("0001 0100 0001 0000 0000 0000 c010 0001 0001 00"), RCODE.FORMERR],
    ["a loop through a label", hex("0001 0100 0001 0000 0000 0000 0161 c00c 0001 0001"), RCODE.FORMERR],
    ["two OPT records", hex(`0001 0100 0001 0000 0000 0002 ${question} ${OPT} ${OPT}`), RCODE.FORMERR],
    ["OPT as an answer", hex(`0001 0100 0001 0001 0000 0000 ${question} ${OPT}`), RCODE.FORMERR],
    ["OPT with a name", hex(`0001 0100 0001 0000 0000 0001 ${question} 0161${OPT}`), RCODE.FORMERR],
    ["EDNS 1", hex(`0001 0100 0001 0000 0000 0001 ${question} 00 0029 04d0 00010000 0000`), RCODE.BADVERS],
  ];
  for (const [what, bytes, rcode] of cases) assert.equal(parseQuery(bytes)?.rcode, rcode, what);
});

const OPT = "00 0029 04d0 00000000 0000";

test("a name has at most 255 bytes, a label 63", () => {
  const of = (count: number, size: number): string => `${"a".repeat(size)}.`.repeat(count);
  assert.equal(encodeName(of(3, 63) + of(1, 61))?.length, 255);
  assert.equal(encodeName(of(3, 63) + of(1, 62)), null);
  assert.equal(encodeName(of(1, 64)), null);
  assert.equal(encodeName("a..b."), null);
  assert.equal(encodeName("a"), null);
  const long = Uint8Array.from([...Array(4).keys()].flatMap(() => [63, ...Array(63).fill(97)]).concat(0));
  const reader = new WireReader(long);
  assert.deepEqual([reader.name(), reader.failed], ["", true]);
});

test("names come back as they were, whatever their bytes", () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(label, { maxLength: 8 }), (labels) => {
      const text = labels.map((bytes) => `${labelText(bytes, 0, bytes.length)}.`).join("") || ".";
      const bytes = encodeName(text);
      assert.ok(bytes !== null);
      assert.deepEqual(bytes, Uint8Array.from([...labels.flatMap((own) => [own.length, ...own]), 0]));
      const reader = new WireReader(bytes);
      assert.equal(reader.name(), text);
      assert.equal(reader.at, bytes.length);
    }),
  );
});

test("no bytes whatever throw or take long", () => {
  const any = fc.uint8Array({ maxLength: 600 });
  fc.assert(fc.property(any, (bytes) => void parseQuery(bytes)));
  // Beginning like a query, so that names and records are reached.
  fc.assert(
    fc.property(any, fc.nat(3), (bytes, records) => {
      parseQuery(Uint8Array.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, records, ...bytes]));
    }),
  );
  // Broken in one place.
  fc.assert(
    fc.property(fc.nat(DIG.length - 1), fc.nat(255), (at, byte) => {
      const broken = DIG.slice();
      broken[at] = byte;
      const query = parseQuery(broken);
      if (query !== null) assert.ok(query.questionEnd <= broken.length);
    }),
  );
});
