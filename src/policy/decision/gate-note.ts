import type { Gate } from "../machine/gate.ts";

export type Verdict = "ok" | "denied" | "chosen" | "skipped" | "failed" | "audit" | "shadow";

/**
 * What a gate did, as a few values that its `describe` turns into words when somebody reads. Reused from call to call. What the values mean is the
 * gate's; they hold whatever state and draws the gate read.
 */
export class GateNote {
  gate: Gate | null = null;
  verdict: Verdict = "ok";
  /** Distinguishes what a gate may have to say. */
  code = 0;
  a = 0;
  b = 0;
  c = 0;
  text = "";
  detail: unknown = null;
}
