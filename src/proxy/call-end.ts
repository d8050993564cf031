import { isServerFault } from "../core/grpc-status.ts";
import type { Decision } from "../policy/call.ts";

/** How a call ended, as its caller saw it: what logs and metrics take. A Decision is one, for calls that are passed through. */
export type CallEnd = Pick<Decision, "requestId" | "service" | "durationMs" | "attempts" | "outcome">;

/** Answers that are the server's fault: HTTP 5xx; gRPC unknown, deadline exceeded, internal, unavailable, data loss. */
export function isServerError({ outcome: { status, grpcStatus } }: CallEnd): boolean {
  return status >= 500 || isServerFault(grpcStatus);
}
