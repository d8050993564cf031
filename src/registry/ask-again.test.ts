import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { askAgain } from "./ask-again.ts";

const away = (message: string) => new WeftError("unavailable", message);
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Asks with pauses of 100 ms for 1,000 ms of a clock that goes on by 50 ms. */
async function ask(work: () => Promise<unknown>): Promise<{ error: WeftError; atMs: number }> {
  const clock = new VirtualClock();
  const random = { next: () => 0.5 };
  let error: WeftError | null = null;
  askAgain(work, { clock, random, timeoutMs: 1_000, stopped: () => false }).catch((thrown) => (error = thrown));
  for (let steps = 0; error === null; steps++) {
    assert.ok(steps < 100, "it ends");
    await turn();
    if (error === null) clock.advance(50);
  }
  return { error, atMs: clock.now() };
}

test("who waits until the deadline hears what was said last, also where the last attempt was cut short", async () => {
  let asked = 0;
  const { error, atMs } = await ask(() =>
    ++asked < 4 ? Promise.reject(away(`refused ${asked}`)) : new Promise<never>(() => {}),
  );
  assert.equal(error.message, "refused 3");
  assert.equal(atMs, 1_000);
});

test("where nothing was ever said, it did not answer in time", async () => {
  const { error } = await ask(() => new Promise<never>(() => {}));
  assert.equal(error.code, "deadline_exceeded");
  assert.match(error.message, /did not answer in time/);
});

test("what is refused is told at once", async () => {
  let asked = 0;
  const { error, atMs } = await ask(async () => {
    throw ++asked === 1 ? away("away") : new WeftError("permission_denied", "no");
  });
  assert.equal(error.code, "permission_denied");
  assert.equal(atMs, 100);
});
