import assert from "node:assert/strict";
import { test } from "node:test";
import { denied, failed } from "./consul-error.ts";

test("what Consul refuses for its ACLs names the right, and nothing else of what Consul says", () => {
  const accessor = "5a3b7a1c-0000-0000-0000-000000000000";
  const text = `Permission denied: token with AccessorID '${accessor}' lacks permission 'key:write' on "weft/shop/a"`;
  const right = denied("Consul", text, true);
  assert.equal(right.code, "permission_denied");
  assert.match(right.message, /it lacks key:write on "weft\/shop\/a"/);
  assert.ok(!right.message.includes(accessor));
  assert.equal(denied("Consul", "Permission denied", true).code, "permission_denied");
  assert.equal(denied("Consul", "ACL not found", true).code, "unauthenticated");
  assert.match(denied("Consul", text, false).message, /wants an ACL token \(what was asked needs key:write/);
  assert.equal(failed("Consul", 500, "rpc error: ACL not found").code, "unauthenticated");
});

test("only where nothing can have been written it may be asked again", () => {
  assert.deepEqual(
    [failed("Consul", 500, "No cluster leader").retryable, failed("Consul", 429, "").retryable],
    [true, true],
  );
  const lost = failed("Consul", 500, "leadership lost while committing log");
  assert.deepEqual([lost.code, lost.retryable], ["unavailable", false]);
  assert.equal(failed("Consul", 400, "Invalid\nservice").message, "Consul refuses (status 400): Invalid service");
});
