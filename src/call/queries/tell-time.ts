import type { Cancel, Clock } from "../../core/clock.ts";
import type { PolicyRuntime } from "../../policy/runtime.ts";

/** Keeps policy's idea of wall time right: clocks are set, and machines sleep. Returns what stops it. */
export function tellTime(policy: PolicyRuntime, clock: Clock): Cancel {
  let cancel: Cancel = () => {};
  const tell = (): void => {
    policy.setWallAt(clock.wallMs() - clock.now());
    cancel = clock.after(EVERY_MS, tell);
  };
  tell();
  return () => cancel();
}

const EVERY_MS = 10_000;
