import type { ProbeOutcome } from "./health-machine.ts";

export interface ProbeResult {
  readonly outcome: ProbeOutcome;
  /** "" when it passed: "connection refused", "GET /healthz answered 503". */
  readonly message: string;
}

export const PASSED: ProbeResult = { outcome: "passed", message: "" };

/** Errors of this side: out of file descriptors, ports or memory. */
const OURS = new Set(["EMFILE", "ENFILE", "EADDRNOTAVAIL", "ENOBUFS", "ENOMEM"]);

/** Of a probe that took `timeoutMs`. */
export function timedOut(timeoutMs: number): ProbeResult {
  return { outcome: "failed", message: `no answer within ${timeoutMs} ms` };
}

/** Of a probe whose connection could not be made, or broke. */
export function connectionFailed(error: Error): ProbeResult {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ECONNREFUSED") return { outcome: "refused", message: "connection refused" };
  if (code !== undefined && OURS.has(code))
    return { outcome: "unknown", message: `no probe could be made: ${error.message}` };
  return { outcome: "failed", message: error.message };
}
