import { codeOf } from "../../core/errors.ts";

/** grpc-status of trailers (or of a head that is both); what an HTTP status other than 200 means without one is left to HTTP (-1). */
export function grpcStatusOf(fields: readonly string[], status: number): number {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "grpc-status") continue;
    const value = fields[i + 1];
    if (value === "0") return 0;
    const number = Number(value);
    return Number.isInteger(number) && number > 0 && number <= 16 ? number : GRPC_UNKNOWN;
  }
  return status === 200 ? GRPC_UNKNOWN : -1;
}

const GRPC_NUMBERS = new Map(Array.from({ length: 16 }, (_, i) => [codeOf(i + 1), i + 1]));
/** gRPC's number of a code, by a table look-up. */
export function grpcNumber(code: ReturnType<typeof codeOf>): number {
  return GRPC_NUMBERS.get(code) as number;
}

/** UNKNOWN: also what is no gRPC status at all. */
export const GRPC_UNKNOWN = 2;
