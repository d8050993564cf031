import { SWITCHABLE } from "../resource/common-shapes.ts";
import { limitMs } from "../resource/duration.ts";
import type { PolicyField } from "../resource/policy-field.ts";
import type { Duration } from "../resource/resources.ts";

/** Ms; Infinity is unlimited, written "0s". */
function timeoutField(standard: Duration): PolicyField<Duration, number> {
  return { check: SWITCHABLE, over: (_under, spec) => spec, compile: (spec) => limitMs(spec ?? standard) };
}

/** The whole call. */
export const callTimeoutField = timeoutField("15s");
/** One attempt. */
export const perTryTimeoutField = timeoutField("0s");
/** No bytes either way. */
export const idleTimeoutField = timeoutField("0s");
