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

const UNITS_MS: Readonly<Record<string, number | undefined>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};
