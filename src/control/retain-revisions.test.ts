import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { retainRevisions } from "./retain-revisions.ts";

test("the leader drops old revisions every ten minutes, tells so, and goes on when the store was away", async () => {
  const clock = new VirtualClock();
  const told: string[] = [];
  const asked: number[] = [];
  let leading = false;
  let answer = async (): Promise<number> => 3;
  const ledger = {
    retain: (keep: number) => {
      asked.push(keep);
      return answer();
    },
  };
  const end = retainRevisions(ledger, { keep: 5, leads: () => leading, clock, onEvent: (line) => told.push(line) });
  const pass = async (): Promise<void> => {
    clock.advance(600_000);
    await new Promise((resolve) => setImmediate(resolve));
  };
  await pass();
  assert.deepEqual(asked, [], "one that does not lead dropped some");
  leading = true;
  await pass();
  assert.deepEqual([asked, told], [[5], ["3 revisions older than the newest 5 were dropped"]]);
  answer = async () => {
    throw new WeftError("unavailable", "away");
  };
  await pass();
  assert.equal(told[1], "old revisions could not be dropped: away");
  answer = async () => 0;
  await pass();
  assert.deepEqual([asked.length, told.length], [3, 2]);
  end();
  await pass();
  assert.equal(asked.length, 3);
});
