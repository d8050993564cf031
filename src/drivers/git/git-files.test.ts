import assert from "node:assert/strict";
import { test } from "node:test";
import type { SettingsState } from "../../settings/settings-state.ts";
import { decodeFiles, encodeFiles, isRevisionFile, type RevisionFiles } from "./git-files.ts";

const origin = { revision: 9, author: "ada", atMs: 99 };
const none: RevisionFiles = new Map();

test("resources and settings are read from files as they were written there, in their order", () => {
  const resources = [
    { kind: "Z", metadata: { name: "z" }, spec: { text: "no: 'yes'\n# not a comment", n: 1.5, none: null, list: [] } },
    { kind: "A", metadata: { name: "a" } },
    { kind: "A", metadata: { name: "a" }, again: true },
    { kind: "A", metadata: { name: "../../etc/passwd", namespace: "x" } },
  ];
  const settings: SettingsState = {
    namespaces: {
      shop: {
        values: {
          limit: { value: 5, revision: 2, author: "bob", atMs: 7 },
          "a.b": { value: { deep: ["~", "0x1f"] }, revision: 3, author: "", atMs: 8 },
        },
        schema: { kind: "json", schema: { type: "object" } },
        grays: [{ id: "g-3", changes: { limit: 6 }, to: { percent: 5 }, author: "bob", reason: "try", sinceMs: 5 }],
        revision: 3,
      },
    },
  };
  const files = encodeFiles({ resources, settings }, none);
  assert.deepEqual([...files.keys()].sort(), [
    ".weft.json",
    "resources/A-a-2.yaml",
    "resources/A-a.yaml",
    "resources/A-x-.._.._etc_passwd.yaml",
    "resources/Z-z.yaml",
    "settings/shop.yaml",
  ]);
  assert.deepEqual(decodeFiles(files, origin), { resources, settings });
  const edited = new Map(files).set(
    "settings/shop.yaml",
    (files.get("settings/shop.yaml") ?? "").replace("limit: 5", "limit: 50"),
  );
  const { shop } = decodeFiles(edited, origin).settings.namespaces;
  assert.deepEqual(shop.values.limit, { value: 50, ...origin });
  assert.equal(shop.values["a.b"].revision, 3, "what was not edited keeps who changed it");
  assert.equal(shop.revision, 9);
  assert.equal(
    decodeFiles(new Map(edited).set(".weft.json", "{"), origin).resources.length,
    4,
    "broken notes lose the order alone",
  );
});

test("what is malformed is refused with its file and, where there is one, its line", () => {
  const refused = (file: string, text: string, message: RegExp) =>
    assert.throws(
      () => decodeFiles(new Map([[file, text]]), origin),
      (error: Error) => message.test(error.message),
      text,
    );
  refused("resources/a.yaml", "kind: A\nkind: B\n", /^resources\/a\.yaml:2: /);
  refused("resources/a.yaml", "kind: [A\n", /^resources\/a\.yaml:\d: /);
  refused("settings/shop.yaml", "limit: 5\n", /"limit" is none of values, schema and grays/);
  refused("settings/shop.yaml", "values: [1]\n", /values is an object/);
  refused("settings/shop.yaml", "- 1\n", /a namespace of settings is an object/);
  const both = new Map([
    ["settings/shop.yaml", "values: {}\n"],
    ["settings/shop.json", "{}"],
  ]);
  assert.throws(() => decodeFiles(both, origin), /another file of the namespace shop/);
  assert.deepEqual(decodeFiles(new Map([["resources/empty.yaml", "# nothing\n"]]), origin).resources, []);
});

test("names that objects have by themselves are names like others, and paths that are no single line are nobody's", () => {
  const text = "values:\n  __proto__: { admin: true }\n  constructor: 5\n";
  const { namespaces } = decodeFiles(
    new Map([
      ["settings/__proto__.yaml", "values: { a: 1 }\n"],
      ["settings/constructor.yaml", text],
    ]),
    origin,
  ).settings;
  assert.deepEqual(Object.keys(namespaces).sort(), ["__proto__", "constructor"]);
  assert.equal(Object.getPrototypeOf(namespaces), Object.prototype);
  assert.deepEqual(
    Object.keys(Reflect.get(namespaces, "constructor").values),
    ["__proto__", "constructor"],
    "to be refused by who checks",
  );
  assert.deepEqual(Reflect.get(namespaces, "constructor").values.constructor as unknown, { value: 5, ...origin });
  for (const path of ["settings/a\nD x.yaml", "resources/a\n/b.yaml", "settings/a/b.yaml"])
    assert.equal(isRevisionFile(path), false, JSON.stringify(path));
});

test("a file that would make gigabytes of itself, or nests without end, is refused like any other that is wrong", () => {
  const names = [..."abcdefghij"];
  const bomb = names
    .map((name, i) => `${name}: &${name} [${Array(9).fill(i === 0 ? "x" : `*${names[i - 1]}`)}]\n`)
    .join("");
  for (const text of [bomb, "[".repeat(20_000)])
    assert.throws(
      () => decodeFiles(new Map([["resources/b.yaml", text]]), origin),
      (error: Error & { reason?: string }) =>
        error.reason === "BAD_REVISION" && /^resources\/b\.yaml/.test(error.message),
    );
});
