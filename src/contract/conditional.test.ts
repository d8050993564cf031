import assert from "node:assert/strict";
import { test } from "node:test";
import { conditionalAnswer, etagMatches, weakEtag } from "./conditional.ts";

const body = Buffer.from('{"count":"5"}');

test("an answer gets a weak ETag and must be asked for again", () => {
  const answer = conditionalAnswer(undefined, ["content-type", "application/json"], body);
  assert.deepEqual([answer.status, answer.body], [200, body]);
  assert.deepEqual(answer.fields, ["etag", weakEtag(body), "cache-control", "no-cache"]);
  assert.match(weakEtag(body), /^W\/"[\w-]{27}"$/);
});

test("what the caller has already is 304 without a body", () => {
  const answer = conditionalAnswer(`"x", ${weakEtag(body)}`, [], body);
  assert.deepEqual([answer.status, answer.body.length, answer.fields[1]], [304, 0, weakEtag(body)]);
  assert.equal(conditionalAnswer('W/"other"', [], body).status, 200);
});

test("the service's own ETag and Cache-Control stay", () => {
  const answer = conditionalAnswer('"v7"', ["etag", '"v7"', "cache-control", "max-age=60"], body);
  assert.deepEqual([answer.status, answer.fields], [304, []]);
});

test("comparison is weak, and * matches anything", () => {
  assert.ok(etagMatches('W/"a"', '"a"'));
  assert.ok(etagMatches('"b" , "a,b"', '"a,b"'));
  assert.ok(etagMatches(" * ", '"a"'));
  assert.ok(!etagMatches("a", '"a"'));
});
