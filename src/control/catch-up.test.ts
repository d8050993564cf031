import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { VirtualClock } from "../core/clock.ts";
import { CatchUp } from "./catch-up.ts";

/** A store that is asked: what it holds, and whether it answers. */
class Store {
  held = 0;
  current = 0;
  away = false;
  #asked: (() => void)[] = [];

  confirm(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { held } = this;
      this.#asked.push(() => {
        if (this.away) return reject(new Error("away"));
        this.current = held;
        resolve();
      });
    });
  }

  /** Answers what was asked, as of when it was asked. */
  async answer(): Promise<void> {
    for (const answer of this.#asked.splice(0)) answer();
    for (let i = 0; i < 10; i++) await null;
  }
}

const STEPS = ["publish", "set back", "attach", "away", "back", "answer", "second"] as const;

test("who knows more is told once the store was asked after that, and of nothing older than it held then", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...STEPS), { maxLength: 60 }), async (steps) => {
      const store = new Store();
      const clock = new VirtualClock();
      const catchUp = new CatchUp(store, clock);
      let waiting = 0;
      const attach = () => {
        // It was told of what the store holds by another control plane, a moment ago.
        const known = store.held;
        if (known <= store.current) return;
        waiting++;
        let setBack = false;
        onSetBack.push(() => {
          setBack = true;
        });
        catchUp.wait(() => {
          waiting--;
          assert.ok(store.current >= known || setBack, `told of ${store.current}, and knows ${known}`);
        });
      };
      const onSetBack: (() => void)[] = [];
      for (const step of [...steps, "back", "answer", "second", "answer", "answer"] as const) {
        if (step === "publish") store.held++;
        else if (step === "set back") {
          store.held = Math.max(0, store.held - 2);
          for (const tell of onSetBack) tell();
        } else if (step === "attach") attach();
        else if (step === "away") store.away = true;
        else if (step === "back") store.away = false;
        else if (step === "answer") await store.answer();
        else clock.advance(1_000);
        await null;
      }
      assert.equal(waiting, 0, "somebody waits although the store answers");
    }),
  );
});

test("who is gone is not told", async () => {
  const store = new Store();
  const catchUp = new CatchUp(store, new VirtualClock());
  catchUp.wait(() => assert.fail("it is gone"))();
  await store.answer();
});
