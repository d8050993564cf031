import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientEnvironment } from "./client-method.ts";
import type { Carrier } from "./types.ts";

const carrier = { inFlight: 0 } as Carrier;

test("a call is named by the call that it is made for, or else by an id in its metadata", () => {
  const env = new ClientEnvironment("a.B", { carrier });
  const idOf = (
    ...[options, ambient]: [Parameters<typeof env.extraFields>[0], Parameters<typeof env.extraFields>[1]]
  ) => env.contextOf(options, ambient, env.extraFields(options, ambient), null).requestId;
  assert.equal(idOf(undefined, undefined), "");
  assert.equal(idOf({ metadata: { "x-request-id": "own" } }, undefined), "own");
  const signal = new AbortController().signal;
  const ambient = { deadline: 1_000, requestId: "outer", extraFields: ["x-request-id", "outer"], signal } as never;
  assert.equal(idOf(undefined, ambient), "outer");
});

test("a call that nobody names gets a name where there are any, and sends it", () => {
  const names = ["one", "two", ""];
  const env = new ClientEnvironment("a.B", { carrier, ids: { next: () => names.shift() ?? "" } });
  const sent = (
    ...[options, ambient]: [Parameters<typeof env.extraFields>[0], Parameters<typeof env.extraFields>[1]]
  ) => {
    const fields = env.extraFields(options, ambient);
    return [env.contextOf(options, ambient, fields, null).requestId, fields];
  };
  const ambient = { deadline: 1_000, requestId: "outer", extraFields: ["x-request-id", "outer"] } as never;
  assert.deepEqual(sent(undefined, ambient), ["outer", ["x-request-id", "outer"]]);
  const own = { metadata: { "x-request-id": "own" } };
  assert.deepEqual(sent(own, undefined), ["own", ["x-request-id", "own"]]);
  assert.deepEqual(sent(undefined, undefined), ["one", ["x-request-id", "one"]]);
  assert.deepEqual(sent({ metadata: { a: "b" } }, undefined), ["two", ["a", "b", "x-request-id", "two"]]);
  assert.deepEqual(sent(undefined, undefined), ["", null]);
});
