import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../core/errors.ts";
import { formatProblem, JsonSchema } from "./json-schema.ts";

const orders = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  properties: {
    maxItems: { type: "integer", minimum: 1, default: 10 },
    mode: { enum: ["fast", "safe"] },
    hosts: { type: "array", items: { type: "string", format: "hostname" } },
    limits: { $ref: "#/$defs/limits" },
    apiKey: { type: "string", minLength: 8 },
  },
  required: ["mode"],
  additionalProperties: false,
  $defs: { limits: { type: "object", properties: { perMinute: { type: "number", default: 60 } }, default: {} } },
};
const said = (values: Record<string, never> | Record<string, unknown>, sealed?: Set<string>) =>
  new JsonSchema(orders).problems(values as never, sealed).map(formatProblem);

test("everything that a schema does not allow is said with its place", () => {
  assert.deepEqual(said({ mode: "fast", maxItems: 3, hosts: ["a.example"] }), []);
  assert.deepEqual(said({ maxItems: "x", maxItms: 1, hosts: ["a.example", 7], limits: { perMinute: true } }), [
    "mode: is missing",
    "maxItems: must be integer, not string",
    "hosts[1]: must be string, not number",
    "limits.perMinute: must be number, not boolean",
    'maxItms: the schema has no such property; did you mean "maxItems"?',
  ]);
  assert.deepEqual(said({ mode: "slow", maxItems: 0 }), [
    "maxItems: 0 is less than 1",
    'mode: must be one of ["fast","safe"]',
  ]);
});

test("of values that cannot be read here nothing is said", () => {
  const sealed = { $sealed: "k1.x.y" };
  assert.deepEqual(said({ mode: "fast", apiKey: sealed }, new Set(["apiKey"])), []);
  assert.deepEqual(said({ maxItems: "x", apiKey: sealed }, new Set(["apiKey"])), [
    "mode: is missing",
    "maxItems: must be integer, not string",
  ]);
});

test("defaults fill what is not there, also within objects", () => {
  const schema = new JsonSchema(orders);
  assert.deepEqual(schema.withDefaults({ mode: "fast", limits: {} }), {
    mode: "fast",
    maxItems: 10,
    limits: { perMinute: 60 },
  });
});

const refused = (schema: unknown): string => {
  try {
    new JsonSchema(schema as never);
  } catch (thrown) {
    assert.ok(thrown instanceof WeftError && thrown.reason === "BAD_SCHEMA");
    return thrown.message;
  }
  return "";
};

test("a schema that is none is refused with all that is wrong with it", () => {
  assert.equal(refused(true), "");
  assert.match(
    refused({ type: "nubmer", properties: { a: { minimun: 3, pattern: "(" } } }),
    /^schema\.type: it must be one of null/,
  );
  const both = refused({ properties: { a: { minimun: 3, pattern: "(" } } });
  assert.match(both, /schema\.properties\.a\.minimun: there is no such keyword; did you mean "minimum"\?/);
  assert.match(both, /schema\.properties\.a\.pattern: it must be a regular expression/);
  assert.match(refused({ $ref: "#/$defs/none" }), /leads nowhere/);
  assert.match(refused({ $ref: "https://example.org/schema" }), /within the schema/);
  assert.match(refused({ $dynamicRef: "#x" }), /use \$ref/);
});

test("a check that would take for ever is ended", () => {
  const slow = new JsonSchema({ properties: { a: { pattern: "^(a+)+$" } } });
  assert.throws(() => slow.problems({ a: `${"a".repeat(60)}b` }), /take longer than 250 ms/);
  const endless = new JsonSchema({ $ref: "#" });
  assert.throws(
    () => endless.problems({}),
    (thrown: WeftError) => thrown.reason === "BAD_SCHEMA",
  );
});
