import type { Ack } from "../contract/gen/weft/control/v1/control.ts";
import { codeOf, WeftError } from "../core/errors.ts";

/** What an acknowledgement says, null when it was done. */
export function errorOf({ code, reason, message, field }: Ack): WeftError | null {
  if (code === 0) return null;
  return new WeftError(codeOf(code), message, { reason, ...(field !== "" && { place: { field } }) });
}

/** For those who waited `timeoutMs` in vain; `last` is what the last attempt met, if it met anything. */
export function unreachable(address: string, timeoutMs: number, last: WeftError | null): WeftError {
  const why = last === null ? `no answer within ${timeoutMs} ms` : last.message;
  return new WeftError(
    "unavailable",
    `the control plane at ${address} cannot be reached: ${why}; is it running, and is WEFT_CONTROL right?`,
    { reason: "CONTROL_UNREACHABLE", retryable: true, ...(last !== null && { cause: last }) },
  );
}

/** For those whose request was on its way when the line broke. */
export function lineDown(): WeftError {
  return new WeftError("unavailable", "the line to the control plane broke", { reason: "LINE_DOWN", retryable: true });
}
