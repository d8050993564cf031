import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VirtualClock } from "./clock.ts";
import { Timer, TimerWheel } from "./timer-wheel.ts";

class Recorder extends Timer {
  readonly fired: number[] = [];
  override fire(now: number): void {
    this.fired.push(now);
  }
}

test("a timer fires once, never early and at most a tick and a turn of the clock late", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ delay: fc.nat(40_000), at: fc.nat(5_000) }), { minLength: 1, maxLength: 30 }),
      (plans) => {
        const clock = new VirtualClock();
        const wheel = new TimerWheel(clock, 8);
        const timers: { timer: Recorder; due: number }[] = [];
        for (const plan of plans.toSorted((a, b) => a.at - b.at)) {
          clock.advance(plan.at - clock.now());
          const timer = new Recorder();
          wheel.schedule(timer, plan.delay);
          timers.push({ timer, due: clock.now() + plan.delay });
        }
        clock.advance(50_000);
        for (const { timer, due } of timers) {
          assert.equal(timer.fired.length, 1);
          assert.ok(timer.fired[0] >= due, `fired at ${timer.fired[0]}, due ${due}`);
          assert.ok(timer.fired[0] <= due + 16 + 1e-6, `fired at ${timer.fired[0]}, due ${due}`);
        }
        assert.equal(wheel.size, 0);
      },
    ),
  );
});

test("a cancelled timer does not fire, and a rescheduled one fires at its new time only", () => {
  const clock = new VirtualClock();
  const wheel = new TimerWheel(clock, 8);
  const cancelled = new Recorder();
  const moved = new Recorder();
  wheel.schedule(cancelled, 100);
  wheel.schedule(moved, 100);
  clock.advance(50);
  wheel.cancel(cancelled);
  wheel.cancel(cancelled);
  wheel.schedule(moved, 1_000);
  clock.advance(900);
  assert.deepEqual(moved.fired, []);
  clock.advance(200);
  assert.equal(moved.fired.length, 1);
  assert.deepEqual(cancelled.fired, []);
});

test("timers may schedule and cancel others while they fire", () => {
  const clock = new VirtualClock();
  const wheel = new TimerWheel(clock, 8);
  const victim = new Recorder();
  const next = new Recorder();
  class Chain extends Timer {
    override fire(now: number): void {
      wheel.cancel(victim);
      wheel.schedule(next, 0, now);
    }
  }
  wheel.schedule(new Chain(), 10);
  wheel.schedule(victim, 20);
  clock.advance(100);
  assert.deepEqual(victim.fired, []);
  assert.equal(next.fired.length, 1);
});

test("an idle wheel asks nothing of the clock", () => {
  let asked = 0;
  const clock = new VirtualClock();
  const counted = (ms: number, fire: () => void) => {
    asked++;
    return clock.after(ms, fire);
  };
  const wheel = new TimerWheel({ now: () => clock.now(), wallMs: () => 0, after: counted }, 8);
  const timer = new Recorder();
  wheel.schedule(timer, 16);
  clock.advance(1_000);
  assert.equal(timer.fired.length, 1);
  const before = asked;
  clock.advance(10_000);
  assert.equal(asked, before);
});
