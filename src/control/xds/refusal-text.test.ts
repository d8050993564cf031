import assert from "node:assert/strict";
import { test } from "node:test";
import { refusalText } from "./refusal-text.ts";

test("a reason shows nothing of what a secret holds", () => {
  const dump =
    'name: "own" tls_certificate { private_key { inline_string: "-----BEGIN PRIVATE KEY-----\\nabc\\"def\\n" } } : no good';
  const shown = refusalText(dump);
  assert.equal(shown, 'name: "own" tls_certificate { private_key { inline_string: "..." } } : no good');
  assert.equal(
    refusalText("bad key -----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\nreally"),
    "bad key (PEM) really",
  );
  assert.equal(refusalText("cut -----BEGIN PRIVATE KEY-----\nabc"), "cut (PEM)");
});

test("of a long one the beginning and the end are kept", () => {
  const shown = refusalText(`first ${"x ".repeat(10_000)}last`);
  assert.match(shown, /^first x .* \.\.\. .* last$/);
  assert.ok(shown.length < 1_300);
});

test("what would move a terminal's cursor is not shown", () => {
  assert.equal(refusalText("no \x1b[2J\x9b31m\x07 good\nreally"), "no ?[2J?31m? good really");
});
