import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type AskOptions, ask, readMessage } from "./message.case.ts";
import { parseQuery, type Query } from "./query.ts";
import { addressData, srvData, wireName } from "./record.ts";
import { ResponseWriter } from "./response-writer.ts";

const LOOPBACK = addressData(Uint8Array.of(127, 0, 0, 1));

function begun(name: string, limit: number, options: AskOptions = {}): ResponseWriter {
  const bytes = ask(name, options);
  const writer = new ResponseWriter();
  writer.begin(parseQuery(bytes) as Query, bytes, limit);
  return writer;
}

test("an answer has the question as it was asked, and its owner points there", () => {
  const writer = begun("pRoducts.Weft.", 512, { id: 0x1234 });
  writer.record("answer", null, 5, LOOPBACK);
  const bytes = writer.end(0, true);
  assert.equal(
    Buffer.from(bytes).toString("hex"),
    "12348500000100010000000008" +
      "70526f6475637473" +
      "0457656674" +
      "0000010001" +
      "c00c00010001000000050004" +
      "7f000001",
  );
});

test("owners are written as short as what stands before them allows; targets of SRV stay whole", () => {
  const target = wireName("products-1.endpoint.products.weft.");
  const writer = begun("_http._tcp.products.weft.", 512);
  writer.record("answer", null, 5, srvData(0, 1, 8080, target));
  const before = writer.end(0, true).length;
  writer.record("additional", target, 5, LOOPBACK);
  writer.record("additional", wireName("other.endpoint.products.weft."), 5, LOOPBACK);
  const bytes = writer.end(0, true);
  // A pointer, type, class, TTL, length, address; the other one has a label of its own.
  assert.equal(bytes.length - before, 2 + 14 + (6 + 2) + 14);
  const read = readMessage(bytes);
  assert.equal(read.answers[0].data, "0 1 8080 products-1.endpoint.products.weft.");
  assert.deepEqual(
    read.additionals.map(({ name }) => name),
    ["products-1.endpoint.products.weft.", "other.endpoint.products.weft."],
  );
});

test("records that do not fit are left out whole; TC tells when they were asked for", () => {
  const name = "a.weft.";
  const writer = begun(name, 24 + 2 * 16 + 3);
  assert.deepEqual(
    [1, 2, 3].map(() => writer.record("answer", null, 5, LOOPBACK)),
    [true, true, false],
  );
  const read = readMessage(writer.end(0, true));
  assert.deepEqual([read.answers.length, read.truncated], [2, true]);

  const other = begun(name, 24 + 16 + 3);
  other.record("answer", null, 5, LOOPBACK);
  assert.equal(other.record("additional", wireName("b.weft."), 5, LOOPBACK), false);
  assert.equal(readMessage(other.end(0, true)).truncated, false);
});

test("whatever is written, it fits, is read back the same, and keeps place for OPT", () => {
  const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,12}$/);
  const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => `${labels.join(".")}.`);
  const record = fc.record({ owner: fc.option(name), target: name, port: fc.nat(65_535), section: fc.nat(2) });
  const sections = ["answer", "authority", "additional"] as const;
  fc.assert(
    fc.property(
      name,
      fc.array(record, { maxLength: 60 }),
      fc.integer({ min: 512, max: 1_232 }),
      fc.option(fc.constant(1_232), { nil: undefined }),
      (asked, records, limit, edns) => {
        const writer = begun(asked, limit, { edns });
        const expected: string[][] = [[], [], []];
        let truncated = false;
        for (const { owner, target, port, section } of records.toSorted((a, b) => a.section - b.section)) {
          const data = srvData(0, 1, port, wireName(target));
          if (writer.record(sections[section], owner === null ? null : wireName(owner), 5, data))
            expected[section].push(`${(owner ?? asked).toLowerCase()} 0 1 ${port} ${target}`);
          else if (section < 2) truncated = true;
        }
        const bytes = writer.end(0, true);
        assert.ok(bytes.length <= limit);
        const read = readMessage(bytes);
        assert.equal(read.question, asked);
        assert.equal(read.truncated, truncated);
        assert.equal(read.edns, edns ?? null);
        const shown = [read.answers, read.authorities, read.additionals].map((all) =>
          all.map((own) => `${own.name.toLowerCase()} ${own.data}`),
        );
        assert.deepEqual(shown, expected);
      },
    ),
  );
});
