/** The HTTP status of a gRPC status, by its number; 500 of what is none. Source: google/rpc/code.proto; Envoy's Grpc::Utility::grpcToHttpStatus is the same. */
export function httpStatusOfGrpc(grpcStatus: number): number {
  return HTTP_STATUSES[grpcStatus] ?? 500;
}

/** Whether a gRPC status, by its number, says that the server failed: unknown, deadline exceeded, internal, unavailable, data loss. */
export function isServerFault(grpcStatus: number): boolean {
  return SERVER_FAULTS.has(grpcStatus);
}

const HTTP_STATUSES = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
const SERVER_FAULTS: ReadonlySet<number> = new Set([2, 4, 13, 14, 15]);
