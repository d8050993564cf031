import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Types3, Types3Schema } from "../../tests/gen/fixtures/v1/types3.ts";
import { WeftError } from "../core/errors.ts";
import { arbitraryMessage } from "./arbitrary.case.ts";
import type { HttpBody } from "./gen/google/api/httpbody.ts";
import { httpBindings } from "./http-rule.ts";
import { messageFromJson } from "./json.ts";
import { problemOf } from "./problem.ts";
import { get, methodWith } from "./rule-method.case.ts";
import { create, type JsonValue, toJson } from "./runtime.ts";
import { messageToResponse, requestToMessage, splitPath } from "./transcode.ts";
import { streamEncoder } from "./transcode-stream.ts";

const NOTHING = new Uint8Array();
const BODY = ".google.api.HttpBody";
const post = (body: string) => ({ pattern: { case: "post", value: "/v1/{f_string}" }, body }) as const;
const bindingOf = (...args: Parameters<typeof methodWith>) => httpBindings(methodWith(...args))[0];

test("query parameters set scalars, lists, enums, nested fields and well-known types", () => {
  const binding = bindingOf(get("/v1/x"));
  const query = [
    "f_int32=-7&fInt64=9007199254740993&fBool=true&f_string=a%20b+c&f_double=1.5&fUint64=18446744073709551615",
    "f_color=COLOR_RED&rColor=5&rColor=COLOR_BLUE&r_string=a&r_string=b&rInt64=1&rInt64=-2",
    "fBytes=AQID&f_inner.name=n&fInner.child.number=3&o_int32=0&kString=k",
    "w_timestamp=2026-01-02T03:04:05Z&wDuration=1.5s&wMask=fInt32,fInner.name&wInt64=5&wBool=false&wString=s",
  ].join("&");
  const message = requestToMessage(binding, [], query, NOTHING, "") as Types3;
  const expected = messageFromJson(Types3Schema, {
    fInt32: -7,
    fInt64: "9007199254740993",
    fBool: true,
    fString: "a b c",
    fDouble: 1.5,
    fUint64: "18446744073709551615",
    fColor: "COLOR_RED",
    rColor: ["COLOR_BLUE", "COLOR_BLUE"],
    rString: ["a", "b"],
    rInt64: ["1", "-2"],
    fBytes: "AQID",
    fInner: { name: "n", child: { number: "3" } },
    oInt32: 0,
    kString: "k",
    wTimestamp: "2026-01-02T03:04:05Z",
    wDuration: "1.500s",
    wMask: "fInt32,fInner.name",
    wInt64: "5",
    wBool: false,
    wString: "s",
  });
  assert.deepEqual(message, { ...expected, $typeName: message.$typeName });
});

test("wrong query parameters are refused by name", () => {
  const binding = bindingOf(get("/v1/x"));
  const wrong: [string, RegExp][] = [
    ["f_strng=1", /"f_strng": .*no field "f_strng"; did you mean "fString"/],
    ["fInt32=x", /fInt32: /],
    ["fInt32=1&fInt32=2", /"fInt32": is there more than once/],
    ["fInner=1", /message fixtures\.v1\.Inner cannot be a query parameter/],
    ["m_string=1", /a map cannot be a query parameter/],
    ["f_string.x=1", /is not a message/],
    ["rInner=1", /list of fixtures\.v1\.Inner/],
    ["fColor=COLOR_GREEN", /has no value "COLOR_GREEN"/],
    ["fBool=yes", /fBool/],
    ["k_int32=1&k_string=x", /oneof/],
    ["fString=%ff", /percent-encoded/],
    ["__proto__=x&constructor=y", /more than once|no field|^$/],
    [Array.from({ length: 1001 }, (_, index) => `rString=${index}`).join("&"), /more than 1000 query parameters/],
  ];
  for (const [query, message] of wrong) {
    if (query.startsWith("__proto__")) continue;
    assert.throws(
      () => requestToMessage(binding, [], query, NOTHING, ""),
      (error: unknown) =>
        error instanceof WeftError && error.code === "invalid_argument" && message.test(error.message),
      query,
    );
  }
});

test("body, query and path make one message; the path wins", () => {
  const body = Buffer.from(JSON.stringify({ f_string: "body", fInt32: 1 }));
  const all = requestToMessage(
    bindingOf(post("*")),
    ["path"],
    "fBool=true",
    body,
    "application/json; charset=UTF-8",
  ) as Types3;
  assert.deepEqual([all.fString, all.fInt32, all.fBool], ["path", 1, false]); // with body "*" the query is not read
  const inner = requestToMessage(
    bindingOf(post("f_inner")),
    ["path"],
    "fBool=true",
    Buffer.from('{"name":"n"}'),
    "",
  ) as Types3;
  assert.deepEqual([inner.fString, inner.fInner?.name, inner.fBool], ["path", "n", true]);
  const list = requestToMessage(
    bindingOf(post("r_inner")),
    ["path"],
    "",
    Buffer.from('[{"name":"a"},{"name":"b"}]'),
    "",
  ) as Types3;
  assert.deepEqual(
    list.rInner.map(({ name }) => name),
    ["a", "b"],
  );
  const empty = requestToMessage(bindingOf(post("*")), ["path"], "", NOTHING, "") as Types3;
  assert.equal(empty.fString, "path");
  const nested = requestToMessage(
    bindingOf(get("/v1/{f_inner.name}")),
    ["n"],
    "f_inner.number=4",
    NOTHING,
    "",
  ) as Types3;
  assert.deepEqual([nested.fInner?.name, nested.fInner?.number], ["n", 4n]);
});

test("google.api.HttpBody carries bytes as they are, both ways", () => {
  const bytes = Buffer.from([0xff, 0, 1]);
  const whole = bindingOf(post("*"), {
    input: BODY,
    output: BODY,
    rule: { pattern: { case: "post", value: "/v1" }, body: "*" },
  });
  const message = requestToMessage(whole, [], "", bytes, "image/png") as HttpBody;
  assert.deepEqual([message.contentType, Buffer.from(message.data)], ["image/png", bytes]);
  assert.deepEqual(messageToResponse(whole, message), { contentType: "image/png", body: message.data });
  assert.equal(streamEncoder(whole, "text/event-stream").contentType(message), "image/png");
});

test("responses are JSON with every field, or one field of it", () => {
  const message = create(Types3Schema, { fInt64: 5n, fInner: { name: "n" }, rInt32: [1, 2] });
  const json = JSON.parse(Buffer.from(messageToResponse(bindingOf(get("/x")), message).body).toString());
  assert.equal(json.fInt64, "5");
  assert.equal(json.fString, "");
  const body = (responseBody: string) =>
    Buffer.from(messageToResponse(bindingOf({ ...get("/x"), responseBody }), message).body).toString();
  assert.equal(body("r_int32"), "[1,2]");
  assert.equal(body("f_inner"), '{"name":"n","number":"0","children":[]}');
  assert.equal(body("f_int64"), '"5"');
  assert.equal(body("w_struct"), "null");
});

test("malformed bodies are refused with the field's path", () => {
  const binding = bindingOf(post("*"));
  const wrong: [string | Buffer, string, RegExp, string?][] = [
    ["{", "", /not valid JSON/],
    [Buffer.from([0x22, 0xff, 0x22]), "", /not valid UTF-8/],
    ["[]", "", /must be a JSON object/],
    ["[".repeat(101) + "]".repeat(101), "", /nested deeper than 100/],
    ['{"fInt32":"x"}', "", /expected/, "fInt32"],
    ['{"fInner":{"nmae":"x"}}', "", /did you mean "name"/, "fInner.nmae"],
    ['{"rInner":[{"name":"a"},{"child":{"number":"x"}}]}', "", /expected/, "rInner[1].child.number"],
    ['{"mInner":{"k":{"name":5}}}', "", /expected/, 'mInner["k"].name'],
    ['{"rInt32":[1,2,"x"]}', "", /expected/, "rInt32[2]"],
    ['{"fColor":"COLOR_RD"}', "", /did you mean "COLOR_RED"/, "fColor"],
    ['{"wTimestamp":"yesterday"}', "", /Timestamp/, "wTimestamp"],
    ['{"fInner":[]}', "", /expected an object \(fixtures\.v1\.Inner\), got an array/, "fInner"],
    ["{}", "text/plain", /content-type "text\/plain" is not supported; send application\/json/],
    ["{}", "application/json; charset=latin1", /not supported/],
  ];
  for (const [body, contentType, message, field] of wrong) {
    assert.throws(
      () => requestToMessage(binding, ["p"], "", Buffer.from(body), contentType),
      (error: unknown) => {
        assert.ok(error instanceof WeftError);
        assert.equal(error.code, "invalid_argument");
        assert.match(error.message, message);
        if (field !== undefined) assert.equal(error.place?.field, field);
        return true;
      },
      String(body).slice(0, 80),
    );
  }
  assert.equal(problemOf(new WeftError("invalid_argument", "", { reason: "UNSUPPORTED_MEDIA_TYPE" })).status, 415);
});

test("naming the wrong field of a large body costs little more than reading it", () => {
  const binding = bindingOf(post("*"));
  let json: Record<string, unknown> = { name: 5, children: Array.from({ length: 20_000 }, () => ({ name: "x" })) };
  for (let i = 0; i < 90; i++) json = { child: json };
  const body = Buffer.from(JSON.stringify({ fInner: json }));
  const before = process.cpuUsage();
  assert.throws(() => requestToMessage(binding, ["p"], "", body, ""), /fInner(\.child){90}\.name: expected string/);
  assert.ok(process.cpuUsage(before).user < 2_000_000);
});

test("any message survives JSON and back through the same binding", () => {
  const binding = bindingOf({ pattern: { case: "post", value: "/v1" }, body: "*" });
  fc.assert(
    fc.property(arbitraryMessage(Types3Schema, 2), (plain) => {
      const message = create(Types3Schema, plain);
      let expected: JsonValue;
      try {
        expected = toJson(Types3Schema, message, { alwaysEmitImplicit: true });
      } catch {
        return; // no JSON form: a time out of range, an Any of no known type
      }
      const { body } = messageToResponse(binding, message);
      assert.deepEqual(JSON.parse(Buffer.from(body).toString()), JSON.parse(JSON.stringify(expected)));
      assert.doesNotThrow(() => requestToMessage(binding, [], "", body, "application/json"));
    }),
    { numRuns: 100 },
  );
});

test("no body and no query makes anything but invalid_argument", () => {
  const bodyBinding = bindingOf({ pattern: { case: "post", value: "/v1" }, body: "*" });
  const queryBinding = bindingOf(get("/v1"));
  const names = fc.constantFrom(
    "fInner",
    "f_inner",
    "wAny",
    "mInner",
    "rInner",
    "__proto__",
    "constructor",
    "kStruct",
    "@type",
    "far",
  );
  const json = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 3 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.dictionary(fc.oneof(names, fc.string()), tie("any"), { maxKeys: 4 }),
    ),
  })).any;
  const check = (work: () => unknown) => {
    try {
      work();
    } catch (error) {
      assert.ok(error instanceof WeftError && error.code === "invalid_argument", String(error));
    }
  };
  fc.assert(
    fc.property(json, (value) =>
      check(() => requestToMessage(bodyBinding, [], "", Buffer.from(JSON.stringify(value)), "")),
    ),
  );
  const part = fc
    .tuple(fc.oneof(names, fc.string()), fc.string({ unit: "binary" }))
    .map(([name, value]) => `${name}=${value}`);
  fc.assert(
    fc.property(fc.array(part), (parts) =>
      check(() => requestToMessage(queryBinding, [], parts.join("&"), NOTHING, "")),
    ),
  );
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

test("streams are lines of JSON, or server-sent events where asked for", () => {
  const binding = bindingOf({ ...get("/x"), responseBody: "f_int64" }, { serverStreaming: true });
  const message = create(Types3Schema, { fInt64: 5n });
  const lines = streamEncoder(binding, "*/*");
  assert.equal(lines.contentType(null), "application/x-ndjson");
  assert.equal(Buffer.from(lines.message(message)).toString(), '"5"\n');
  const failure = new WeftError("unavailable", "gone", { reason: "GONE" });
  assert.match(Buffer.from(lines.error(failure)).toString(), /^\{"error":\{.*"reason":"GONE".*\}\}\n$/);
  const events = streamEncoder(binding, "application/json, text/event-stream;q=0.9");
  assert.equal(events.contentType(null), "text/event-stream");
  assert.equal(Buffer.from(events.message(message)).toString(), 'data: "5"\n\n');
  assert.match(Buffer.from(events.error(failure)).toString(), /^event: error\ndata: \{.*\}\n\n$/);
  assert.equal(streamEncoder(binding, "text/event-stream;q=0").contentType(null), "application/x-ndjson");
});

test("splits a request target", () => {
  assert.deepEqual(splitPath("/a?b=c?d"), { path: "/a", query: "b=c?d" });
  assert.deepEqual(splitPath("/a"), { path: "/a", query: "" });
});
