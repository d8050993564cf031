import assert from "node:assert/strict";
import { test } from "node:test";
import { responseHead } from "../wire/head.ts";
import { changedResponse } from "./response-changes.ts";

test("a route's changes to the response's headers: removed, then added; the same head when there are none", () => {
  const head = responseHead(200, ["server", "x", "content-type", "text/plain", "server", "y"]);
  assert.equal(changedResponse(head, null, null), head);
  const changed = changedResponse(head, ["server", "weft", "x-a", "1"], ["server"]);
  assert.equal(changed.status, 200);
  assert.deepEqual(changed.fields, ["content-type", "text/plain", "server", "weft", "x-a", "1"]);
});
