import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tape, TapeRecord } from "../machine/tape.ts";
import { CacheWorld, date, type Played } from "./cache.case.ts";

const tapeOf = (call: unknown): Tape => (call as { state: { tape: Tape } }).state.tape;

test("a recorded decision comes out again where nothing is stored, whatever the cache did", () => {
  const fields = [
    "cache-control",
    "max-age=10, stale-if-error=100, stale-while-revalidate=1",
    "etag",
    '"a"',
    "last-modified",
    date(0),
  ];
  const cases: [name: string, later: number, played: Played][] = [
    ["miss", -1, { fields, body: "one" }],
    ["hit", 5, {}],
    ["stale while it is renewed", 10.5, {}],
    ["validated", 20, { status: 304, fields: ["etag", '"a"'] }],
    ["replaced", 20, { fields, body: "two" }],
    ["stale in place of an answer", 20, { status: 503, body: "no" }],
    ["stale in place of a failure", 20, { fails: true }],
    ["failure", 500, { fails: true }],
  ];
  for (const [name, later, played] of cases) {
    const play = (world: CacheWorld, tape: TapeRecord | null) => {
      const call = world.runtime.createCall();
      if (tape === null) tapeOf(call).record();
      else tapeOf(call).play(tape, () => {});
      world.runtime.createCall = () => call;
      const begun = world.begin("/a");
      if (begun.asked !== null) begun.play(played);
      const { steps, outcome, attempts } = call.decision;
      return {
        tape: tapeOf(call).recorded,
        diverged: tapeOf(call).diverged,
        seen: JSON.stringify({ steps, outcome, attempts }),
      };
    };
    const world = new CacheWorld();
    if (later >= 0) world.get("/a", { fields, body: "one" });
    world.pass(Math.max(0, later));
    const recorded = play(world, null);
    const elsewhere = new CacheWorld();
    elsewhere.now = world.now;
    const again = play(elsewhere, recorded.tape);
    assert.equal(again.seen, recorded.seen, name);
    assert.equal(again.diverged, false, name);
  }
});
