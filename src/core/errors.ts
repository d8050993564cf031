/**
 * The one error class of weft and its closed set of codes (gRPC's sixteen, without `ok`).
 *
 * A program reads `code`, `reason` and `retryable`; a person reads `message`, which says what was wrong, where, and what
 * to do about it. Source of the codes: gRPC, "Status codes and their use in gRPC".
 */
export class WeftError extends Error {
  override readonly name = "WeftError";
  readonly code: Code;
  /** Stable, machine-readable, UPPER_SNAKE_CASE: "NO_HEALTHY_ENDPOINT". Never changes for the same cause. */
  readonly reason: string;
  /** Whether the same call may be sent again without having had an effect. Never guessed from text. */
  readonly retryable: boolean;
  /** google.rpc-style details: packed messages as they travel in `grpc-status-details-bin`. */
  readonly details: readonly ErrorDetail[];
  /** Where it is wrong, when it is in a file that a person wrote. */
  readonly place: Place | undefined;
  /** Trailing metadata of a failed call, lower-case names; values of `-bin` names are base64. */
  readonly metadata: ReadonlyArray<readonly [name: string, value: string]>;

  constructor(code: Code, message: string, options: WeftErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = options.reason ?? code.toUpperCase();
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? [];
    this.place = options.place;
    this.metadata = options.metadata ?? [];
  }
}

export interface WeftErrorOptions {
  reason?: string;
  retryable?: boolean;
  details?: readonly ErrorDetail[];
  place?: Place;
  metadata?: ReadonlyArray<readonly [name: string, value: string]>;
  cause?: unknown;
}

/** One detail: a message packed as google.protobuf.Any. */
export interface ErrorDetail {
  /** "google.rpc.BadRequest" (no type-URL prefix). */
  readonly type: string;
  readonly value: Uint8Array;
}

/** A place in a file, 1-based. `field` is a path such as `services.orders.needs[0]`. */
export interface Place {
  file?: string;
  line?: number;
  column?: number;
  field?: string;
}

export type Code = (typeof CODES)[number];

/** Index = gRPC's number of the code, so `CODES[5]` is "not_found"; 0 is not an error and has no place in `Code`. */
const NAMES = [
  "ok",
  "cancelled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
] as const;
const CODES = NAMES.slice(1) as unknown as readonly Exclude<(typeof NAMES)[number], "ok">[];
const NUMBERS = new Map<string, number>(NAMES.map((name, number) => [name, number]));

/** gRPC's number of a code, 1 to 16. */
export function codeNumber(code: Code): number {
  return NUMBERS.get(code) as number;
}

/** The code of a gRPC status number; numbers outside 1..16 (0 included) are "unknown". */
export function codeOf(number: number): Code {
  return Number.isInteger(number) && number >= 1 && number <= 16 ? (NAMES[number] as Code) : "unknown";
}

/** What a thrown value becomes at the edge of a service: a WeftError stays, anything else is `internal` without its text. */
export function toWeftError(thrown: unknown): WeftError {
  if (thrown instanceof WeftError) return thrown;
  return new WeftError("internal", "internal error", { reason: "UNHANDLED", cause: thrown });
}

/** "file:line:column field", or "" when nothing is known. */
export function formatPlace(place: Place | undefined): string {
  if (place === undefined) return "";
  const where = [place.file, place.line, place.column].filter((part) => part !== undefined).join(":");
  return [where, place.field].filter((part) => part !== undefined && part !== "").join(" ");
}
