/** Milliseconds that a `grpc-timeout` field says; null when it is malformed. Source: gRPC over HTTP/2, "Timeout". */
export function parseGrpcTimeout(value: string): number | null {
  const digits = value.length - 1;
  if (digits < 1 || digits > 8) return null;
  let amount = 0;
  for (let i = 0; i < digits; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return null;
    amount = amount * 10 + digit;
  }
  const unit = UNITS_MS[value[digits]];
  return unit === undefined ? null : amount * unit;
}

/**
 * The value of a `grpc-timeout` field for `ms` milliseconds: at most eight digits and a unit, never longer than what is left (so that a
 * hop does not stretch a deadline) and never 0 (which peers read as expired before the request was seen).
 */
export function formatGrpcTimeout(ms: number): string {
  if (ms < 100_000) return `${Math.max(1, Math.floor(ms * 1000))}u`;
  if (ms < 100_000_000) return `${Math.floor(ms)}m`;
  return `${Math.min(99_999_999, Math.floor(ms / 1000))}S`;
}

const UNITS_MS: Readonly<Record<string, number | undefined>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};
