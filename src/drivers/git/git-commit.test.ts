import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { commitStream, notesOfLog } from "./git-commit.ts";

const messageOf = (stream: string): string => {
  const [, length, rest] = /\ndata (\d+)\n(.*)$/s.exec(stream) ?? [];
  return Buffer.from(rest).subarray(0, Number(length)).toString();
};
const nameOf = (stream: string): string => /\nauthor (.*) <> \d+ \+0000\n/.exec(stream)?.[1] ?? "";

test("what a commit says of a revision is read as it was written", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "ä", " ", "\n", "<", ">", '"', ":", "Weft-", "x") });
  fc.assert(
    fc.property(text, text, fc.nat(), (author, given, at) => {
      const reason = given.trimEnd();
      const publishedMs = 1_700_000_000_000 + at;
      const revision = { revision: 7, author, reason, publishedMs, changes: ["HTTPRoute shop", "settings a/b"] };
      const stream = commitStream({ ref: "r", parent: "", revision, before: new Map(), after: new Map() }).toString();
      assert.doesNotMatch(nameOf(stream), /[<>\n]/);
      const log = `\0abc\0${nameOf(stream)}\x001700000000\0${messageOf(stream)}\0\n\nresources/HTTPRoute-shop.yaml\n`;
      assert.deepEqual(notesOfLog(log, 7), [{ ...revision, id: "abc" }]);
    }),
  );
});

test("of people's commits the files say what changed, and trailers that they took along say nothing", () => {
  const message = "mended\n\nWeft-Revision: 6\nWeft-Published: 5\n";
  const files = "\n\nresources/HTTPRoute-shop.yaml\nsettings/orders.yaml\nREADME.md\n.weft.json\n";
  const [note] = notesOfLog(`\0abc\0Ada\x001700000000\0${message}\0${files}`, 7);
  assert.deepEqual(note, {
    revision: 7,
    id: "abc",
    author: "Ada",
    reason: "mended",
    publishedMs: 1_700_000_000_000,
    changes: ["HTTPRoute shop", "settings orders"],
  });
});

test("what somebody writes into a commit makes no other commit of it, and costs no time", () => {
  const forged = "mended\x01def\x02Bob\x021700000000\x02forged\x02";
  const log = `\0abc\0Ada\x001700000000\0${forged}\0\n\0\u0064ef\0Eve\x001700000000\0\0\n`;
  assert.deepEqual(
    notesOfLog(log, 2).map(({ revision, id, author }) => [revision, id, author]),
    [
      [2, "abc", "Ada"],
      [1, "def", "Eve"],
    ],
  );
  const began = process.cpuUsage();
  for (const message of [`m\n\n${"Weft-a: ".repeat(5_000)}\nzzz`, `m${"\n\nWeft-a: b".repeat(5_000)}\nzzz`])
    assert.equal(notesOfLog(`\0abc\0Ada\x001700000000\0${message}\0`, 1)[0].reason, message);
  assert.ok(process.cpuUsage(began).user < 500_000);
});
