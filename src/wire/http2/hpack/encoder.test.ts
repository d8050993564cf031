import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../../../core/errors.ts";
import { requestHead, responseHead, trailersHead } from "../../head.ts";
import { HpackDecoder } from "./decoder.ts";
import { encodeHead, encodeHeadAs, fieldsBound, writeFields } from "./encoder.ts";

function decode(bytes: Uint8Array): string[] {
  const decoder = new HpackDecoder(4096, 1 << 20, 10_000);
  assert.ok(decoder.decode(Buffer.from(bytes), 0, bytes.length));
  assert.equal(decoder.table.generation, 0, "nothing is inserted");
  return decoder.fields.flatMap((field) => [field.name, field.value]);
}

test("heads of each kind decode to their pseudo-headers and fields", () => {
  assert.deepEqual(decode(encodeHead(requestHead("POST", "http", "a:1", "/x", ["te", "trailers"]))), [
    ...[":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "a:1"],
    ...["te", "trailers"],
  ]);
  assert.deepEqual(decode(encodeHead(responseHead(200, ["content-type", "text/plain"]))), [
    ...[":status", "200"],
    ...["content-type", "text/plain"],
  ]);
  assert.deepEqual(decode(encodeHead(trailersHead(["grpc-status", "0"]))), ["grpc-status", "0"]);
  assert.deepEqual(decode(encodeHeadAs(responseHead(101), 200)), [":status", "200"]);
});

test("CONNECT has no scheme and no path; an upgrade becomes an extended CONNECT", () => {
  assert.deepEqual(decode(encodeHead(requestHead("CONNECT", "", "a:1", ""))), [
    ":method",
    "CONNECT",
    ":authority",
    "a:1",
  ]);
  assert.deepEqual(decode(encodeHead(requestHead("GET", "http", "a", "/chat", [], "websocket"))), [
    ...[":method", "CONNECT", ":scheme", "http", ":path", "/chat", ":authority", "a", ":protocol", "websocket"],
  ]);
});

test("the encoded form is made once", () => {
  const head = responseHead(204);
  assert.equal(encodeHead(head), encodeHead(head));
  assert.equal(encodeHead(head).length, 1);
});

test("secrets are literals that are never indexed", () => {
  for (const name of ["authorization", "cookie", "proxy-authorization", "set-cookie"]) {
    const bytes = encodeHead(trailersHead([name, "secret"]));
    assert.equal(bytes[0] & 0xf0, 0x10, name);
    assert.deepEqual(decode(bytes), [name, "secret"]);
  }
});

test("any fields come back as they went, within the bound that was promised", () => {
  const name = fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,200}$/);
  const value = fc.stringMatching(/^([!-~\x80-\xff]([ -~\x80-\xff]{0,300}[!-~\x80-\xff])?)?$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 12 }), (pairs) => {
      const fields = pairs.flat();
      const out = Buffer.alloc(fieldsBound(fields) + 8, 0xee);
      const end = writeFields(out, 8, fields);
      assert.ok(end <= out.length);
      assert.deepEqual(decode(out.subarray(8, end)), fields);
    }),
  );
});

test("what must not be sent is refused with a reason", () => {
  const isInvalid = (thrown: unknown) => thrown instanceof WeftError && thrown.reason === "INVALID_HEADER";
  for (const fields of [
    ["x", "a\r\nb: c"],
    ["x", "a\0"],
    ["x", "\u0100"],
    ["x", " a"],
    ["x", "a "],
    ["X", "a"],
    ["a b", "a"],
    ["a:b", "a"],
    ["", "a"],
  ]) {
    assert.throws(() => encodeHead(trailersHead(fields)), isInvalid, JSON.stringify(fields));
  }
});
