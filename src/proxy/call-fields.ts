import type { IdSource, TraceParent } from "../telemetry/trace.ts";
import type { HttpStream } from "../wire/stream.ts";

/** What a hop tells the next of this call alone: its id, its place in the trace, and the addresses that it came by. Flat. */
export function callFields(
  stream: HttpStream,
  { trace, forwardedFor }: { readonly trace: TraceParent | null; readonly forwardedFor: string },
  requestId: string,
  ids: IdSource,
): string[] {
  const { address } = stream.connection.peer;
  const from = address.slice(0, address.lastIndexOf(":"));
  return [
    "x-request-id",
    requestId,
    "traceparent",
    ids.child(trace),
    "x-forwarded-for",
    forwardedFor === "" ? from : `${forwardedFor}, ${from}`,
  ];
}
