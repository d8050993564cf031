import { WeftError } from "../core/errors.ts";

/**
 * Calls a function of the caller's from inside the wire's turn. What it throws becomes the call's error: it must not reach the connection,
 * which other calls share.
 */
export function callUser<T>(callback: ((value: T) => void) | undefined, value: T): WeftError | null {
  if (callback === undefined) return null;
  try {
    callback(value);
    return null;
  } catch (cause) {
    if (cause instanceof WeftError) return cause;
    const text = cause instanceof Error ? cause.message : String(cause);
    return new WeftError("internal", `a callback of the call threw: ${text}`, { reason: "CALLBACK_FAILED", cause });
  }
}
