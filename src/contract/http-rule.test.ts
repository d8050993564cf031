import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../core/errors.ts";
import { HttpRuleSchema } from "./gen/google/api/http.ts";
import { formatBinding, httpBindings } from "./http-rule.ts";
import { parsePathTemplate } from "./http-template.ts";
import { get, methodWith } from "./rule-method.case.ts";
import { create } from "./runtime.ts";

test("templates of every form are read", () => {
  const shape = (text: string) => {
    const { segments, variables, verb } = parsePathTemplate(text);
    const path = segments.map((segment) =>
      segment.kind === "literal" ? segment.text : segment.kind === "one" ? "*" : "**",
    );
    return [path, variables.map(({ fieldPath, start, end, multi }) => [fieldPath.join("."), start, end, multi]), verb];
  };
  assert.deepEqual(shape("/"), [[], [], ""]);
  assert.deepEqual(shape("/v1/shelves"), [["v1", "shelves"], [], ""]);
  assert.deepEqual(shape("/v1/*/x/**"), [["v1", "*", "x", "**"], [], ""]);
  assert.deepEqual(shape("/v1/{id}"), [["v1", "*"], [["id", 1, 2, false]], ""]);
  assert.deepEqual(shape("/v1/{a.b.c=*}:do"), [["v1", "*"], [["a.b.c", 1, 2, false]], "do"]);
  assert.deepEqual(shape("/v1/{name=shelves/*/books/*}"), [
    ["v1", "shelves", "*", "books", "*"],
    [["name", 1, 5, true]],
    "",
  ]);
  assert.deepEqual(shape("/{file=**}:read"), [["**"], [["file", 0, 1, true]], "read"]);
  assert.deepEqual(shape("/a%2Fb"), [["a/b"], [], ""]);
});

test("wrong templates are refused with the column", () => {
  const wrong: [string, RegExp][] = [
    ["", /must start with "\/" \(column 1\)/],
    ["v1", /must start/],
    ["/v1//x", /expected a segment \(column 5\)/],
    ["/v1/", /expected a segment/],
    ["/v1/{id", /expected "}"/],
    ["/v1/{}", /expected a field name/],
    ["/v1/{a={b}}", /cannot hold another/],
    ["/**/x", /"\*\*" must be the last segment/],
    ["/{a=**/b}", /must be the last/],
    ["/{id}/{id}", /variable "id" is there twice/],
    ["/x:", /expected a verb/],
    ["/:x", /expected a segment/],
    ["/x:y/z", /unexpected "\/"/],
    ["/x y", /unexpected " "/],
    ["/%zz", /percent-encoding/],
    [`/${"a".repeat(3000)}`, /longer than/],
  ];
  for (const [text, message] of wrong) assert.throws(() => parsePathTemplate(text), message, text);
});

test("a template reads back from what was read, and any text is a template or a BAD_TEMPLATE", () => {
  const piece = fc.constantFrom("/", "a", "{", "}", "*", "**", "=", ":", ".", "%20", "%", "b.c", " ", "?");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = `/${pieces.join("")}`;
      try {
        const template = parsePathTemplate(text);
        assert.equal(template.text, text);
        for (const { start, end } of template.variables) assert.ok(start < end && end <= template.segments.length);
      } catch (error) {
        assert.ok(error instanceof WeftError && error.reason === "BAD_TEMPLATE", String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test("a rule and its additional bindings are bindings in order", () => {
  const method = methodWith({
    pattern: { case: "post", value: "/v1/things/{f_inner.name}" },
    body: "*",
    responseBody: "f_inner",
    additionalBindings: [
      create(HttpRuleSchema, get("/v1/things")),
      create(HttpRuleSchema, {
        pattern: { case: "custom", value: { kind: "REPORT", path: "/v1/things" } },
        body: "f_inner",
      }),
    ],
  });
  assert.deepEqual(httpBindings(method).map(formatBinding), [
    "POST /v1/things/{f_inner.name}",
    "GET /v1/things",
    "REPORT /v1/things",
  ]);
  const [first, second, third] = httpBindings(method);
  assert.deepEqual(
    first.variables.map((path) => path.map(({ name }) => name)),
    [["f_inner", "name"]],
  );
  assert.equal(first.responseBody?.name, "f_inner");
  assert.equal(second.body, "none");
  assert.equal(typeof third.body === "object" && third.body.name, "f_inner");
  assert.equal(httpBindings(method), httpBindings(method), "read once");
});

test("rules that do not fit their method are refused, naming method, rule and field", () => {
  const wrong: [Parameters<typeof methodWith>, RegExp][] = [
    [[{}], /has no path/],
    [
      [get("/v1/{f_strin}")],
      /variable \{f_strin\}: fixtures\.v1\.Types3 has no field "f_strin"; did you mean "f_string"\?/,
    ],
    [[get("/v1/{f_string.x}")], /"f_string" is not a message, so it has no field "x"/],
    [[get("/v1/{f_inner}")], /type fixtures\.v1\.Inner cannot be in a path/],
    [[get("/v1/{r_string}")], /a repeated type cannot be in a path/],
    [[get("/v1/{m_string}")], /a map type cannot be in a path/],
    [[{ ...get("/v1"), body: "*" }], /body "\*" cannot be sent with GET/],
    [[{ pattern: { case: "post", value: "/v1" }, body: "nope" }], /body: fixtures\.v1\.Types3 has no field "nope"/],
    [[{ ...get("/v1"), responseBody: "nope" }], /response_body: .* no field "nope"/],
    [
      [{ pattern: { case: "put", value: "/v1/{f_inner.name}" }, body: "f_inner" }],
      /field "f_inner" is both the body and in the path/,
    ],
    [
      [
        {
          ...get("/v1"),
          additionalBindings: [
            create(HttpRuleSchema, { ...get("/v2"), additionalBindings: [create(HttpRuleSchema, get("/v3"))] }),
          ],
        },
      ],
      /additional_bindings of their own/,
    ],
    [[{ pattern: { case: "custom", value: { kind: "BAD KIND", path: "/v1" } } }], /is not an HTTP method/],
    [[{ pattern: { case: "post", value: "/v1" }, body: "*" }, { clientStreaming: true }], /takes a stream/],
    [[get("/v1/{id=**}/x")], /"\*\*" must be the last segment/],
  ];
  for (const [args, message] of wrong) {
    assert.throws(
      () => httpBindings(methodWith(...args)),
      (error: unknown) => {
        assert.ok(error instanceof WeftError);
        assert.equal(error.reason, "BAD_HTTP_RULE");
        assert.match(error.message, /^rules\.v1\.Rules\/Do: google\.api\.http rule "/);
        assert.match(error.message, message);
        return true;
      },
    );
  }
});
