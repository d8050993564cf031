/** What a server answers to one attempt. */
export interface Answer {
  readonly status: number;
  /** For gRPC calls, 0 and above. */
  readonly grpcStatus: number;
  /** Of the head. */
  readonly fields: readonly string[];
  /** Of the trailers, beside grpc-status. */
  readonly trailers: readonly string[];
  readonly body: Uint8Array;
  /** What a handler returned, before it was encoded. */
  readonly message: object | null;
}

export const EMPTY = new Uint8Array(0);

export const OK: Answer = { status: 200, grpcStatus: 0, fields: [], trailers: [], body: EMPTY, message: null };

/** A failure, for both protocols: `grpcStatus` below 0 takes what the HTTP status means (gRPC over HTTP/2, "HTTP to gRPC status code mapping"). */
export function failure(status: number, grpcStatus = -1, message = ""): Answer {
  const number = grpcStatus >= 0 ? grpcStatus : grpcOf(status);
  const trailers = message === "" ? [] : ["grpc-message", encodeURI(message)];
  return {
    ...OK,
    status,
    grpcStatus: number,
    trailers,
    body: message === "" ? EMPTY : new TextEncoder().encode(message),
  };
}

/** The HTTP status that says what a gRPC status says (google.rpc.Code's comments). */
export function httpOf(grpcStatus: number): number {
  return HTTP[grpcStatus] ?? 500;
}

/** Its trailers, as gRPC has them. */
export function grpcTrailers({ grpcStatus, trailers }: Answer): readonly string[] {
  return trailers.length === 0 ? (PLAIN[grpcStatus] ?? PLAIN[2]) : ["grpc-status", String(grpcStatus), ...trailers];
}

function grpcOf(status: number): number {
  if (status < 400) return 0;
  return GRPC[status] ?? (status >= 500 ? 13 : 9);
}

const HTTP: readonly number[] = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
const GRPC: Readonly<Record<number, number>> = {
  400: 3,
  401: 16,
  403: 7,
  404: 5,
  409: 6,
  429: 8,
  499: 1,
  501: 12,
  502: 14,
  503: 14,
  504: 4,
};
const PLAIN: readonly (readonly string[])[] = Array.from({ length: 17 }, (_, code) => ["grpc-status", String(code)]);
