import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { JsonLines } from "./json-lines.ts";

test("objects come out whole, however their bytes come in", () => {
  const values = fc.array(fc.jsonValue(), { maxLength: 8 });
  const cuts = fc.array(fc.nat(400), { maxLength: 12 });
  fc.assert(
    fc.property(values, cuts, (objects, at) => {
      const bytes = Buffer.from(objects.map((object) => `${JSON.stringify(object)}\n`).join(""));
      const lines = new JsonLines(1_000_000);
      const found: unknown[] = [];
      let from = 0;
      for (const cut of [...at.map((n) => n % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
        found.push(...lines.push(bytes.subarray(from, cut)));
        from = cut;
      }
      assert.equal(JSON.stringify(found), JSON.stringify(objects));
    }),
  );
});

test("a line that is too long, or no JSON, is refused", () => {
  const lines = new JsonLines(10);
  assert.deepEqual(lines.push(Buffer.from('"1234567"\n')), ["1234567"]);
  lines.push(Buffer.from('"12345'));
  assert.throws(() => lines.push(Buffer.from("67890")), /longer than 10 bytes/);
  assert.throws(() => new JsonLines(10).push(Buffer.from("nope\n")), SyntaxError);
});
