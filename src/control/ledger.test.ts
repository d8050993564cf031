import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { openControlDatabase } from "./control-database.ts";
import { type CheckedResources, Ledger, type LedgerRevision } from "./ledger.ts";

/** Everything that is JSON is good. */
function check(text: string): CheckedResources {
  if (text === "bad") throw new WeftError("invalid_argument", "not good", { reason: "INVALID_RESOURCES" });
  const resources = JSON.parse(text) as Resource[];
  return {
    resources,
    texts: resources.map((one) => JSON.stringify(one)),
    warnings: text === "[]" ? [] : ["look again"],
  };
}

const by = { source: "test", author: "ada", reason: "try" };

test("revisions count up, and listeners hear of each when it is durable", async () => {
  const database = await openControlDatabase("");
  const ledger = await Ledger.open(database, check, new VirtualClock(1_000));
  assert.equal(ledger.current.revision, 0);
  const heard: LedgerRevision[] = [];
  ledger.onChange((revision) => heard.push(revision));
  const first = await ledger.publish({ ...by, text: "[1]" });
  assert.deepEqual(first.warnings, ["look again"]);
  assert.deepEqual(
    [first.revision, first.author, first.reason, first.publishedMs, first.resources],
    [1, "ada", "try", 1_000, "[1]"],
  );
  const [second, third] = await Promise.all([
    ledger.publish({ ...by, text: "[2]" }),
    ledger.publish({ ...by, text: "[3]" }),
  ]);
  assert.deepEqual([second.revision, third.revision], [2, 3]);
  assert.equal((await ledger.publish({ ...by, text: "[3]" })).revision, 3, "the same again is no new revision");
  assert.deepEqual(
    heard.map(({ revision }) => revision),
    [1, 2, 3],
  );
  assert.deepEqual(
    (await ledger.list(2, 100)).map(({ revision, resources }) => [revision, resources]),
    [
      [3, ""],
      [2, ""],
    ],
  );
  assert.equal((await ledger.get(2)).resources, "[2]");
  await assert.rejects(ledger.get(9), { code: "not_found", reason: "UNKNOWN_REVISION" });
  await database.close();
});

test("what is wrong, stale or only to be validated is not published", async () => {
  const database = await openControlDatabase("");
  const ledger = await Ledger.open(database, check, new VirtualClock());
  await ledger.publish({ ...by, text: "[1]" });
  await assert.rejects(ledger.publish({ ...by, text: "bad" }), { reason: "INVALID_RESOURCES" });
  await assert.rejects(ledger.publish({ ...by, text: "[2]", expected: 0 }), {
    code: "aborted",
    reason: "STALE_REVISION",
  });
  assert.equal((await ledger.publish({ ...by, text: "[2]", validateOnly: true })).revision, 1);
  await assert.rejects(ledger.publish({ ...by, text: "[2]", author: "x".repeat(1_001) }), {
    place: { field: "author" },
  });
  assert.equal(ledger.current.revision, 1);
  assert.equal((await ledger.publish({ ...by, text: "[2]", expected: 1 })).revision, 2);
  await database.close();
});

test("a roll-back is a new revision that holds what the old one held; all of it is there after a restart", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-ledger-"));
  const database = await openControlDatabase(join(folder, "made", "for", "it"));
  const ledger = await Ledger.open(database, check, new VirtualClock());
  await ledger.publish({ ...by, text: "[1]" });
  await ledger.publish({ ...by, text: "[2]" });
  const back = await ledger.rollback(1, "bob", "");
  assert.deepEqual([back.revision, back.resources, back.reason], [3, "[1]", "rollback to revision 1"]);
  await database.close();
  const reopened = await openControlDatabase(join(folder, "made", "for", "it"));
  const again = await Ledger.open(reopened, check, new VirtualClock());
  const { warnings: _, ...last } = back;
  assert.deepEqual(again.current, last);
  assert.equal((await again.list(10, 100)).length, 3);
  await reopened.close();
  rmSync(folder, { recursive: true });
});

test("large sets are kept compressed, and read as they were", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-ledger-"));
  const database = await openControlDatabase(folder);
  const ledger = await Ledger.open(database, check, new VirtualClock());
  const large = JSON.stringify(Array.from({ length: 5_000 }, (_, i) => `resource ${i}`));
  await ledger.publish({ ...by, text: large });
  await ledger.publish({ ...by, text: "[2]" });
  const [{ size }] = await database.read("SELECT sum(length(packed)) + sum(length(resources)) AS size FROM revision");
  assert.ok(Number(size) < large.length / 4, `${size} bytes`);
  assert.equal((await ledger.get(1)).resources, large);
  assert.equal((await ledger.rollback(1, "bob", "")).resources, large);
  await database.close();
  const reopened = await openControlDatabase(folder);
  const again = await Ledger.open(reopened, check, new VirtualClock());
  assert.equal(again.current.resources, large);
  assert.equal(again.resources.texts.length, 5_000);
  await reopened.close();
  rmSync(folder, { recursive: true });
});
