import { codeOf } from "../../core/errors.ts";
import { httpStatusOfGrpc } from "../../core/grpc-status.ts";

/** "200", "503 BREAKER_OPEN", "grpc unavailable NO_HEALTHY_ENDPOINT": what the caller got, which for REST turned into gRPC is an HTTP status. */
export function outcomeText({ outcome: { status, grpcStatus, reason }, rest }: Ended): string {
  if (grpcStatus < 0 || rest) {
    const seen = grpcStatus < 0 ? status : httpStatusOfGrpc(grpcStatus);
    return reason === "" ? `${seen}` : `${seen} ${reason}`;
  }
  const name = grpcStatus === 0 ? "ok" : codeOf(grpcStatus);
  return reason === "" || reason === name.toUpperCase() ? `grpc ${name}` : `grpc ${name} ${reason}`;
}

interface Ended {
  readonly outcome: { readonly status: number; readonly grpcStatus: number; readonly reason: string };
  readonly rest?: boolean;
}
