import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeNumber, codeOf, WeftError } from "../core/errors.ts";
import { codecOf } from "./codec.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details.ts";
import { StatusSchema } from "./gen/google/rpc/status.ts";
import { decodePercent, encodeGrpcMessage } from "./percent.ts";
import { errorFromProblem, problemOf, problemResponse } from "./problem.ts";
import { codeOfHttpStatus, codeOfRestStatus, errorFromTrailers, httpStatusOf, trailersOfError } from "./status.ts";

const CODES = Array.from({ length: 16 }, (_, index) => codeOf(index + 1));

test("a plain error is two trailers", () => {
  assert.deepEqual(trailersOfError(new WeftError("not_found", "no such order")), [
    "grpc-status",
    "5",
    "grpc-message",
    "no such order",
  ]);
  assert.deepEqual(trailersOfError(new WeftError("internal", "")), ["grpc-status", "13"]);
});

test("an error comes back from its trailers as it was", () => {
  const info = {
    type: RetryInfoSchema.typeName,
    value: codecOf(RetryInfoSchema).encode({ retryDelay: { seconds: 3n } }),
  };
  fc.assert(
    fc.property(
      fc.constantFrom(...CODES),
      fc.string({ unit: "grapheme" }),
      fc.boolean(),
      fc.stringMatching(/^[A-Z][A-Z_]{0,20}$/),
      (code, text, retryable, reason) => {
        const message = text.toWellFormed();
        const error = new WeftError(code, message, { reason, retryable, details: [info], metadata: [["x-more", "1"]] });
        const back = errorFromTrailers(trailersOfError(error));
        assert.ok(back !== null);
        assert.deepEqual([back.code, back.message, back.reason, back.retryable], [code, message, reason, retryable]);
        assert.deepEqual(back.metadata, [["x-more", "1"]]);
        assert.deepEqual(
          back.details.map(({ type, value }) => [type, Buffer.from(value)]),
          [[info.type, Buffer.from(info.value)]],
        );
      },
    ),
  );
});

test("status 0 is no error; none at all is one", () => {
  assert.equal(errorFromTrailers(["grpc-status", "0"]), null);
  assert.equal(errorFromTrailers([])?.reason, "NO_GRPC_STATUS");
  assert.equal(errorFromTrailers(["grpc-status", "77"])?.code, "unknown");
  assert.equal(errorFromTrailers(["grpc-status", "x"])?.code, "unknown");
});

test("anyone's ErrorInfo gives the reason and stays a detail", () => {
  const value = codecOf(ErrorInfoSchema).encode({ reason: "STOCKOUT", domain: "shop.example" });
  const status = codecOf(StatusSchema).encode({
    code: 8,
    details: [{ typeUrl: `type.googleapis.com/${ErrorInfoSchema.typeName}`, value }],
  });
  const error = errorFromTrailers([
    "grpc-status",
    "8",
    "grpc-status-details-bin",
    Buffer.from(status).toString("base64"),
  ]);
  assert.equal(error?.reason, "STOCKOUT");
  assert.equal(error?.details.length, 1);
});

test("details that do not decode are left out", () => {
  const error = errorFromTrailers(["grpc-status", "3", "grpc-message", "bad", "grpc-status-details-bin", "//////"]);
  assert.deepEqual([error?.code, error?.message, error?.details], ["invalid_argument", "bad", []]);
});

test("details beyond 6 KiB are left out, so that the status arrives", () => {
  const error = new WeftError("internal", "big", { details: [{ type: "x.Y", value: new Uint8Array(7000) }] });
  assert.deepEqual(trailersOfError(error), ["grpc-status", "13", "grpc-message", "big"]);
});

test("a message of any length and metadata of any kind leave the head valid", () => {
  const error = new WeftError("internal", "x".repeat(100_000), { metadata: [["x-a", "1\r\nx-b: 2"]] });
  const fields = trailersOfError(error);
  assert.equal(fields.length, 4);
  assert.ok(fields[3].length < 2100);
  assert.equal(problemResponse(error).fields.length, 2);
});

test("protocol fields are never metadata", () => {
  const fields = trailersOfError(
    new WeftError("internal", "x", {
      metadata: [
        ["grpc-status", "0"],
        ["content-type", "a"],
        ["x-a", "1"],
      ],
    }),
  );
  assert.deepEqual(fields, ["grpc-status", "13", "grpc-message", "x", "x-a", "1"]);
  assert.deepEqual(errorFromTrailers(["grpc-status", "1", "date", "now", "x-a", "1"])?.metadata, [["x-a", "1"]]);
});

test("grpc-message is percent-encoded as gRPC says", () => {
  // The interoperability suite's special_status_message.
  const text = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
  const encoded = "%09%0Atest with whitespace%0D%0Aand Unicode BMP %E2%98%BA and non-BMP %F0%9F%98%88%09%0A";
  assert.equal(encodeGrpcMessage(text), encoded);
  assert.equal(decodePercent(encoded), text);
  assert.equal(decodePercent("50% off %zz %e2%98%ba 😈%"), "50% off %zz ☺ 😈%");
  assert.equal(encodeGrpcMessage("100%"), "100%25");
});

test("codes and HTTP statuses", () => {
  assert.deepEqual(
    CODES.map((code) => httpStatusOf({ code })),
    [499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401],
  );
  assert.equal(httpStatusOf({ code: "unimplemented", reason: "METHOD_NOT_ALLOWED" }), 405);
  assert.deepEqual([400, 401, 403, 404, 429, 502, 503, 504, 500, 418].map(codeOfHttpStatus), [
    "internal",
    "unauthenticated",
    "permission_denied",
    "unimplemented",
    "unavailable",
    "unavailable",
    "unavailable",
    "unavailable",
    "unknown",
    "unknown",
  ]);
  for (const code of [
    "not_found",
    "unauthenticated",
    "permission_denied",
    "unimplemented",
    "internal",
    "deadline_exceeded",
    "invalid_argument",
  ] as const) {
    assert.equal(codeOfRestStatus(httpStatusOf({ code })), code);
  }
  assert.deepEqual([418, 599, 302].map(codeOfRestStatus), ["failed_precondition", "internal", "unknown"]);
  assert.equal(codeNumber("unauthenticated"), 16);
});

test("a problem document says what is wrong, and comes back as the error", () => {
  const value = codecOf(BadRequestSchema).encode({
    fieldViolations: [{ field: "lines[0].sku", description: "unknown" }],
  });
  const retry = codecOf(RetryInfoSchema).encode({ retryDelay: { seconds: 2n, nanos: 1 } });
  const error = new WeftError("resource_exhausted", "too many", {
    reason: "RATE_LIMITED",
    retryable: true,
    details: [
      { type: BadRequestSchema.typeName, value },
      { type: RetryInfoSchema.typeName, value: retry },
    ],
    metadata: [
      ["x-limit", "100"],
      ["x-bin", "AQ"],
    ],
  });
  assert.deepEqual(problemOf(error), {
    type: "about:blank",
    title: "Too Many Requests",
    status: 429,
    detail: "too many",
    code: "resource_exhausted",
    reason: "RATE_LIMITED",
    retryable: true,
    violations: [{ field: "lines[0].sku", description: "unknown" }],
  });
  const response = problemResponse(error);
  assert.deepEqual(
    response.fields,
    ["content-type", "application/problem+json", "retry-after", "3", "x-limit", "100", "x-bin", "AQ"].slice(0, 6),
  );
  const { status, title } = problemOf(error, 503); // as policy answers in its place
  assert.deepEqual([status, title], [503, "Service Unavailable"]);
  const back = errorFromProblem(response.status, response.body);
  assert.deepEqual(
    [back.code, back.message, back.reason, back.retryable],
    ["resource_exhausted", "too many", "RATE_LIMITED", true],
  );
  assert.deepEqual(problemOf(back).violations, problemOf(error).violations);
});

test("an answer that is no problem document is told by its status", () => {
  for (const body of [
    "",
    "<html>",
    "null",
    "[]",
    '"x"',
    '{"code":"ok"}',
    '{"code":"toString","detail":5,"violations":[null,1]}',
  ]) {
    const error = errorFromProblem(404, Buffer.from(body));
    assert.equal(error.code, "not_found", body);
    assert.equal(error.message, "the server answered 404 Not Found", body);
  }
});

test("a field in the error's place is a violation, over gRPC too", () => {
  const error = new WeftError("invalid_argument", "must be positive", {
    reason: "BAD_JSON",
    place: { field: "lines[2].quantity" },
  });
  assert.deepEqual(problemOf(error).violations, [{ field: "lines[2].quantity", description: "must be positive" }]);
  const back = errorFromTrailers(trailersOfError(error)) as WeftError;
  assert.deepEqual(problemOf(back).violations, problemOf(error).violations);
});
