import { type Code, codeNumber, codeOf } from "../../core/errors.ts";

/**
 * What happened to an attempt, as policies name it in their `on` lists:
 *
 *     connect-failure  reset  refused  protocol  overflow     the attempt got no complete answer (AttemptFailure.kind)
 *     timeout                                                 the attempt or the call took too long
 *     breaker-open  no-endpoint                               no attempt could be made (fallbacks only)
 *     5xx  gateway-error (502, 503, 504)  503  429  ...       HTTP status
 *     unavailable  resource_exhausted  aborted  ...           gRPC status, by name
 */
export class ConditionSet {
  readonly names: readonly string[];
  readonly #events: number;
  readonly #grpc: number;
  readonly #statuses = new Uint8Array(600);

  constructor(names: readonly string[]) {
    this.names = names;
    let events = 0;
    let grpc = 0;
    for (const name of names) {
      const event = EVENT_NAMES.indexOf(name);
      if (event >= 0) events |= 1 << event;
      else if (name === "5xx") this.#statuses.fill(1, 500, 600);
      else if (name === "gateway-error") this.#statuses.fill(1, 502, 505);
      else if (STATUS.test(name)) this.#statuses[Number(name)] = 1;
      else if (isGrpcCode(name)) grpc |= 1 << codeNumber(name);
    }
    this.#events = events;
    this.#grpc = grpc;
  }

  hasEvent(event: EventKind): boolean {
    return (this.#events & (1 << event)) !== 0;
  }

  /** Whether an answer is meant: its HTTP status, or its gRPC status where it has one (0 and up). */
  hasAnswer(status: number, grpcStatus: number): boolean {
    return grpcStatus >= 0 ? (this.#grpc & (1 << grpcStatus)) !== 0 : status < 600 && this.#statuses[status] === 1;
  }
}

export const EventKind = {
  connect: 0,
  reset: 1,
  refused: 2,
  protocol: 3,
  overflow: 4,
  timeout: 5,
  breakerOpen: 6,
  noEndpoint: 7,
} as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];

export const EVENT_NAMES: readonly string[] = [
  "connect-failure",
  "reset",
  "refused",
  "protocol",
  "overflow",
  "timeout",
  "breaker-open",
  "no-endpoint",
];

export function isCondition(name: string): boolean {
  return (
    EVENT_NAMES.includes(name) || name === "5xx" || name === "gateway-error" || STATUS.test(name) || isGrpcCode(name)
  );
}

/** Words for suggestions; statuses are numbers and are not among them. */
export const CONDITION_NAMES: readonly string[] = [
  ...EVENT_NAMES,
  "5xx",
  "gateway-error",
  ...Array.from({ length: 16 }, (_, i) => codeOf(i + 1)),
];

const STATUS = /^[45]\d\d$/;

function isGrpcCode(name: string): name is Code {
  return CONDITION_NAMES.includes(name) && !EVENT_NAMES.includes(name) && name !== "5xx" && name !== "gateway-error";
}
