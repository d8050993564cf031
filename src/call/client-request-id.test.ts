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
