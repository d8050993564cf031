import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codecOf } from "./codec.ts";
import * as details from "./error-details.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details.ts";
import { StatusSchema } from "./gen/google/rpc/status.ts";

const text = fc.string({ unit: "grapheme", maxLength: 200 });
const bytes = fc.uint8Array({ maxLength: 300 });

test("what is written is what the codecs write, and is read again", () => {
  fc.assert(
    fc.property(
      fc.nat(1_000_000),
      text,
      fc.array(fc.record({ typeUrl: text, value: bytes }, { noNullPrototype: true }), { maxLength: 4 }),
      (code, message, any) => {
        const status = { code, message, details: any };
        const encoded = details.encodeStatus(status);
        assert.deepEqual([...encoded], [...codecOf(StatusSchema).encode(status)]);
        assert.deepEqual(details.decodeStatus(encoded), status);
      },
    ),
  );
  fc.assert(
    fc.property(
      text,
      text,
      fc.dictionary(text, text, { maxKeys: 1, noNullPrototype: true }),
      (reason, domain, metadata) => {
        const info = { reason, domain, metadata };
        const encoded = details.encodeErrorInfo(info);
        assert.deepEqual([...encoded], [...codecOf(ErrorInfoSchema).encode(info)]);
        const { metadata: read, ...rest } = details.decodeErrorInfo(encoded) ?? { metadata: {} };
        assert.deepEqual({ ...rest, metadata: { ...read } }, { reason, domain, metadata: { ...metadata } });
      },
    ),
  );
  fc.assert(
    fc.property(
      fc.array(fc.record({ field: text, description: text, reason: text }, { noNullPrototype: true }), {
        maxLength: 4,
      }),
      (violations) => {
        const encoded = details.encodeBadRequest(violations);
        assert.deepEqual([...encoded], [...codecOf(BadRequestSchema).encode({ fieldViolations: violations })]);
        assert.deepEqual(details.decodeBadRequest(encoded), violations);
      },
    ),
  );
});

test("a retry delay is rounded up to seconds", () => {
  const encode = (seconds: bigint, nanos: number) =>
    codecOf(RetryInfoSchema).encode({ retryDelay: { seconds, nanos } });
  assert.equal(details.decodeRetryDelay(encode(2n, 1)), 3);
  assert.equal(details.decodeRetryDelay(encode(3n, 0)), 3);
  assert.equal(details.decodeRetryDelay(encode(-5n, 0)), 0);
  assert.equal(details.decodeRetryDelay(new Uint8Array(0)), undefined);
});

test("any bytes are a message or null, never an error; where the codec reads them, the same is read", () => {
  const few = fc.oneof(
    bytes,
    fc.array(fc.constantFrom(0x08, 0x0a, 0x12, 0x1a, 1, 2, 3, 0x80, 0xff), { maxLength: 12 }),
  );
  fc.assert(
    fc.property(few, (values) => {
      const from = Uint8Array.from(values);
      for (const decode of [details.decodeErrorInfo, details.decodeBadRequest, details.decodeRetryDelay]) decode(from);
      const own = details.decodeStatus(from);
      if (own === null) return;
      let theirs: { code: number; message: string } | null = null;
      try {
        theirs = codecOf(StatusSchema).decode(from, 0, from.length);
      } catch {
        return; // stricter about what it does not know
      }
      assert.deepEqual([own.code, own.message], [theirs.code, theirs.message]);
    }),
    { numRuns: 500 },
  );
});
