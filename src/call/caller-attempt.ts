import type { PeerInfo } from "../wire/stream.ts";

/**
 * How a hop tells the next that it is trying again, so that the next does not try again itself: "never on another layer's retry". The first attempt says
 * nothing. Between hops of weft it is `x-weft-attempt: 2`, for gRPC also `grpc-previous-rpc-attempts: 1` (gRFC A6).
 */
export function attemptFields(number: number, callerAttempt: number, grpc: boolean): string[] {
  const attempt = Math.max(1, callerAttempt) + number - 1;
  const fields = ["x-weft-attempt", String(attempt)];
  if (grpc) fields.push("grpc-previous-rpc-attempts", String(attempt - 1));
  return fields;
}

/** What a caller said of itself: the number of its attempt, 0 when it said nothing. */
export function parseCallerAttempt(fields: readonly string[]): number {
  for (let i = 0; i < fields.length; i += 2) {
    const value = fields[i + 1];
    if (fields[i] === "x-weft-attempt") return NUMBER.test(value) ? Number(value) : 0;
    if (fields[i] === "grpc-previous-rpc-attempts") return NUMBER.test(value) ? Number(value) + 1 : 0;
  }
  return 0;
}

/**
 * Whom to believe in what only hops say of themselves: peers that proved an identity of a mesh, and this machine's own processes. A listener of the mesh lets nobody in but those of
 * the own system, and in plain text nobody where mutual TLS is strict; a certificate that names a person or a machine makes no hop.
 */
export function isBelieved({ identity, address }: Pick<PeerInfo, "identity" | "address">): boolean {
  return identity.startsWith("spiffe://") || address.startsWith("127.") || address.startsWith("[::1]:");
}

const NUMBER = /^[1-9]\d{0,2}$/;
