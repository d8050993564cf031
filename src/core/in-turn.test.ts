import assert from "node:assert/strict";
import { test } from "node:test";
import { AtMost } from "./at-most.ts";
import { InTurn } from "./in-turn.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("no more than so much is done at once, in the order in which it came, failures included", async () => {
  const gate = new AtMost(3);
  const begun: number[] = [];
  let working = 0;
  const all = Array.from({ length: 3_000 }, (_, i) =>
    gate.do(async () => {
      begun.push(i);
      assert.ok(++working <= 3);
      await null;
      working--;
      if (i % 7 === 0) throw new Error("of this one alone");
      return i;
    }),
  );
  const done = await Promise.allSettled(all);
  assert.equal(done.filter(({ status }) => status === "rejected").length, 429);
  assert.deepEqual(
    begun,
    Array.from({ length: 3_000 }, (_, i) => i),
  );
  assert.equal(await gate.do(async () => "open again"), "open again");
});

test("work on one name is done one after the other, a failure included; on others at the same time", async () => {
  const turns = new InTurn();
  const log: string[] = [];
  const work = (name: string, step: number): Promise<void> =>
    turns.take(name, async () => {
      log.push(`${name}${step} begins`);
      await turn();
      log.push(`${name}${step} ends`);
      if (step === 1) throw new Error("of this one alone");
    });
  await Promise.allSettled([work("a", 1), work("a", 2), work("b", 3)]);
  assert.deepEqual(log.slice(0, 2), ["a1 begins", "b3 begins"]);
  const ofA = log.filter((line) => line.startsWith("a"));
  assert.deepEqual(ofA, ["a1 begins", "a1 ends", "a2 begins", "a2 ends"]);
});
