import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { JuteReader, JuteWriter } from "./jute.ts";
import {
  decodeChanges,
  decodeConnected,
  decodeData,
  decodeManyRead,
  decodeNames,
  decodeReplyHeader,
  decodeWatchEvent,
  encodeAuth,
  encodeConnect,
  encodeRequest,
} from "./zookeeper-messages.ts";

const hex = (frame: Buffer) => frame.toString("hex");

test("requests are as the protocol says, byte for byte", () => {
  const ticket = { id: 0x0102030405060708n, password: Uint8Array.of(9, 9) };
  assert.equal(
    hex(encodeConnect(ticket, 10_000)),
    ["0000001f", "00000000", "0000000000000000", "00002710", "0102030405060708", "000000020909", "00"].join(""),
  );
  assert.equal(
    hex(encodeRequest(7, { op: "get", path: "/a" })),
    ["0000000f", "00000007", "00000004", "000000022f61", "00"].join(""),
  );
  assert.equal(
    hex(encodeRequest(8, { op: "addWatch", path: "/a" })),
    ["00000012", "00000008", "0000006a", "000000022f61", "00000001"].join(""),
  );
  assert.equal(hex(encodeRequest(9, { op: "close" })), "0000000800000009fffffff5");
  assert.equal(
    hex(encodeAuth("digest", Buffer.from("u:p"))),
    ["0000001d", "fffffffc", "00000064", "00000000", "00000006646967657374", "00000003753a70"].join(""),
  );
  const changes = [
    { op: "check", path: "/a", version: 3 },
    { op: "create", path: "/b", data: Uint8Array.of(5), ephemeral: true, access: "anyone" },
    { op: "delete", path: "/c", version: -1 },
  ] as const;
  assert.equal(
    hex(encodeRequest(1, { op: "multi", changes })).slice(8),
    [
      "000000010000000e",
      "0000000d00ffffffff",
      "000000022f6100000003",
      "0000000100ffffffff",
      "000000022f62",
      "0000000105",
      "000000010000001f",
      "00000005776f726c64",
      "00000006616e796f6e65",
      "00000001",
      "0000000200ffffffff",
      "000000022f63ffffffff",
      "ffffffff01ffffffff",
    ].join(""),
  );
});

test("an answer to who connects: a session, or that it is over", () => {
  const answer = (id: bigint, timeoutMs: number) =>
    new JuteWriter().int(0).int(timeoutMs).long(id).buffer(Uint8Array.of(1, 2)).bool(false).frame().subarray(4);
  const { ticket, timeoutMs, readOnly } = decodeConnected(answer(5n, 8_000));
  assert.deepEqual([ticket, timeoutMs, readOnly], [{ id: 5n, password: Uint8Array.of(1, 2) }, 8_000, false]);
  assert.equal(decodeConnected(answer(0n, 8_000)).timeoutMs, 0);
  assert.equal(decodeConnected(answer(5n, 0)).timeoutMs, 0);
  assert.throws(() => decodeConnected(Buffer.alloc(7)), RangeError);
});

test("the part of a transaction that was refused is the first with a code", () => {
  const header = (writer: JuteWriter, type: number, done = false) => writer.int(type).bool(done).int(-1);
  const writer = new JuteWriter();
  header(writer, -1).int(0);
  header(writer, -1).int(-103);
  header(writer, -1).int(-2);
  header(writer, -1, true);
  assert.deepEqual(decodeChanges(new JuteReader(writer.frame().subarray(4))), { index: 1, code: -103 });
  const all = new JuteWriter();
  header(all, 13);
  header(all, 1).text("/b");
  header(all, 2);
  header(all, -1, true);
  assert.equal(decodeChanges(new JuteReader(all.frame().subarray(4))), null);
});

test("whatever a server sends is decoded, or refused as what it is not", () => {
  const many = (reader: JuteReader) => decodeManyRead(reader, true);
  const decoders = [decodeChanges, decodeData, many, decodeNames, decodeReplyHeader, decodeWatchEvent];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(...decoders), (bytes, decode) => {
      try {
        decode(new JuteReader(Buffer.from(bytes)));
      } catch (thrown) {
        assert.ok(thrown instanceof RangeError, String(thrown));
      }
    }),
    { numRuns: 1_000 },
  );
});
