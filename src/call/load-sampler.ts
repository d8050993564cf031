import type { Cancel, Clock } from "../core/clock.ts";
import { READING_MS } from "../policy/admission/load-state.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";

/**
 * Measures the process every 100 ms for policies that go by its load (admission, bbr), from when the first of them wants it. Costs nothing without.
 * Gives what stops it.
 */
export function sampleLoad(policy: PolicyRuntime, clock: Clock): Cancel {
  let cancel: Cancel | null = null;
  let stopped = false;
  const { load } = policy.process;
  let loop = performance.eventLoopUtilization();
  let cpu = process.cpuUsage();
  let at = 0;

  const measure = (): void => {
    const now = clock.now();
    const nextLoop = performance.eventLoopUtilization();
    const nextCpu = process.cpuUsage();
    const elapsedMs = Math.max(1, now - at);
    const busyMs = (nextCpu.user + nextCpu.system - cpu.user - cpu.system) / 1_000;
    const { utilization } = performance.eventLoopUtilization(nextLoop, loop);
    const lateMs = Math.max(0, elapsedMs - READING_MS);
    load.tell(utilization || 0, busyMs / elapsedMs, lateMs, elapsedMs / READING_MS);
    loop = nextLoop;
    cpu = nextCpu;
    next(now);
  };
  const next = (now: number): void => {
    at = now;
    if (!stopped) cancel = clock.after(READING_MS, measure);
  };
  load.onWanted(() => {
    loop = performance.eventLoopUtilization();
    cpu = process.cpuUsage();
    next(clock.now());
  });
  return () => {
    stopped = true;
    cancel?.();
  };
}
