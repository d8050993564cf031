import type { Clock } from "../core/clock.ts";
import { type CallEnd, isServerError } from "./call-end.ts";

/** "all": a line a call; "errors": calls that were answered with 5xx or a gRPC error of the server's; "off". */
export type AccessLogMode = "all" | "errors" | "off";

export interface AccessLog {
  /** Hands over one call. Of the request its method and path are logged; queries and fields may hold secrets. */
  record(request: { readonly method: string; readonly path: string }, peer: string, end: CallEnd): void;
  /** Writes what is waiting. */
  flush(): void;
}

/**
 * One JSON line a call, gathered and written a few times a second: a write for each line would cost more than the call. At most
 * `MAX_WAITING` bytes wait; beyond that lines are counted and dropped, and the count is written.
 */
export function createAccessLog(mode: AccessLogMode, clock: Clock, write: (text: string) => void): AccessLog {
  let waiting = "";
  let dropped = 0;
  let scheduled = false;
  const flush = () => {
    scheduled = false;
    if (dropped > 0) waiting += `{"dropped":${dropped}}\n`;
    dropped = 0;
    if (waiting !== "") write(waiting);
    waiting = "";
  };
  return {
    record(request, peer, end) {
      if (mode === "off" || (mode === "errors" && !isServerError(end))) return;
      if (waiting.length > MAX_WAITING) {
        dropped++;
        return;
      }
      const { outcome, attempts } = end;
      waiting += `${JSON.stringify({
        time: new Date(clock.wallMs()).toISOString(),
        id: end.requestId,
        request: `${request.method} ${request.path.split("?", 1)[0]}`,
        peer,
        status: outcome.status,
        ...(outcome.grpcStatus >= 0 ? { grpc: outcome.grpcStatus } : {}),
        ms: Math.round(end.durationMs * 100) / 100,
        service: end.service,
        endpoint: attempts.at(-1)?.endpoint ?? "",
        attempts: attempts.length,
        ...(outcome.reason === "" ? {} : { reason: outcome.reason }),
      })}\n`;
      if (!scheduled) {
        scheduled = true;
        clock.after(FLUSH_MS, flush);
      }
    },
    flush,
  };
}

const FLUSH_MS = 200;
const MAX_WAITING = 1_048_576;
