import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineCounter, parseDocument } from "yaml";
import { JsonPlaces } from "./json-places.ts";

const VALUE = fc.jsonValue({ maxDepth: 4, noUnicodeString: false });

/** Paths to everything in a value. */
function* pathsOf(value: unknown): Generator<(string | number)[]> {
  yield [];
  if (typeof value !== "object" || value === null) return;
  const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  for (const [key, inner] of entries) for (const path of pathsOf(inner)) yield [key, ...path];
}

test("a place is where a parser finds the value", () => {
  fc.assert(
    fc.property(VALUE, (given) => {
      const text = JSON.stringify(given);
      const value: unknown = JSON.parse(text);
      fc.pre(JSON.stringify(value) === text);
      const lines = new LineCounter();
      const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false });
      const places = new JsonPlaces(value, "f");
      for (const path of pathsOf(value)) {
        const node = document.getIn(path, true) as { range?: [number, number, number] } | undefined;
        if (!node?.range) continue;
        const { line, col } = lines.linePos(node.range[0]);
        assert.deepEqual(places.placeOf(path), { file: "f", line, column: col }, `${path} of ${text}`);
      }
    }),
  );
});

test("what is not there has the place of what is around it", () => {
  const value = [{ kind: "A" }, { kind: "B", spec: { rules: [1, 2] } }];
  const at = (...path: (string | number)[]) => new JsonPlaces(value, "f").placeOf(path).column;
  const text = JSON.stringify(value);
  assert.equal(at(1, "spec", "rules", 7), text.indexOf("[1,2]") + 1);
  assert.equal(at(1, "spec", "other", "more"), text.indexOf('{"rules"') + 1);
  assert.equal(at(9), 1);
  assert.equal(at(1, "kind", "length"), text.indexOf('"B"') + 1);
});
