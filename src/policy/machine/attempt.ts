import { hostPort } from "../../core/address.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { codeOf } from "../../core/errors.ts";
import { Pick } from "../balance/pick.ts";
import { whyText } from "../balance/why.ts";
import type { AttemptRecord } from "../call.ts";
import { AttemptKind } from "../decision/attempt-kind.ts";
import type { Binding } from "../snapshot/snapshot.ts";

/** One attempt of a call: what the machine needs of it, and its record. Reused from call to call. */
export class Attempt extends Pick implements AttemptRecord {
  number = 0;
  to: Endpoint | null = null;
  slot = -1;
  /** What it was made for: policy, breaker, budgets. */
  binding: Binding | null = null;
  kind: AttemptKind = AttemptKind.first;
  generation = 0;
  /** From the choice of its endpoint until its end. */
  live = false;
  /** The shell has been told of it. */
  forwarded = false;
  /** It is the one probe of a half-open breaker. */
  probe = false;
  /** The breaker has been told how it went. */
  judged = false;
  /** Its own timer runs. */
  timed = false;
  callStartedAt = 0;
  startedAt = 0;
  /** It went over mutual TLS. */
  secure = false;
  /** -1 before. */
  connectedAt = -1;
  headAt = -1;
  endedAt = 0;
  status = 0;
  /** A short word of a closed set: "ok", "http_503", "grpc_unavailable", "reset", "timeout", "cancelled"; "" while it is under way. */
  outcome = "";
  /** What the shell said of a failure, for people. */
  message = "";
  /** Of a retry: what the budget had left, of how much, before it was taken from. 0 for others. */
  budgetLeft = 0;
  budgetSize = 0;

  get endpoint(): string {
    return this.to?.id ?? "";
  }

  get address(): string {
    const to = this.to;
    return to === null ? "" : hostPort(to.host, to.port);
  }

  get startMs(): number {
    return this.startedAt - this.callStartedAt;
  }

  get durationMs(): number {
    return this.endedAt - this.startedAt;
  }

  get why(): string {
    const why = whyText(this);
    return this.budgetSize === 0 ? why : `${why}; budget left ${this.budgetLeft} of ${this.budgetSize}`;
  }

  toJSON(): AttemptRecord {
    const { number, endpoint, address, startMs, durationMs, outcome, why } = this;
    return { number, endpoint, address, startMs, durationMs, outcome, why };
  }
}

/** The word for an answer. */
export function answerOutcome(status: number, grpcStatus: number): string {
  if (grpcStatus > 0) return GRPC_OUTCOMES[grpcStatus] ?? "grpc_unknown";
  return status < 400 ? "ok" : (HTTP_OUTCOMES[status - 400] ??= `http_${status}`);
}

const GRPC_OUTCOMES: readonly string[] = Array.from(
  { length: 17 },
  (_, code) => `grpc_${code === 0 ? "ok" : codeOf(code)}`,
);
const HTTP_OUTCOMES: string[] = [];
