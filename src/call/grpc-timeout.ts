/**
 * The value of a `grpc-timeout` field: at most eight digits and a unit, never longer than what is left (so that a hop does not stretch a
 * deadline) and never 0 (which peers read as already expired before the request was seen). Source: gRPC over HTTP/2, "Timeout".
 */
export function grpcTimeout(ms: number): string {
  if (ms < 100_000) return `${Math.max(1, Math.floor(ms * 1000))}u`;
  if (ms < 100_000_000) return `${Math.floor(ms)}m`;
  return `${Math.min(99_999_999, Math.floor(ms / 1000))}S`;
}
