import type { Decision } from "../policy/call.ts";
import { explainDecision } from "../policy/decision/explain.ts";
import { httpOf } from "./answer.ts";
import type { CarriedCall } from "./carried-call.ts";
import { recordOf } from "./fields.ts";
import { restBody } from "./transcoder.ts";
import type { SimulatedCall } from "./types.ts";

/** What came of a call, as plain data that lasts. */
export class Result implements SimulatedCall {
  readonly status: number;
  readonly grpcStatus: number;
  readonly reason: string;
  readonly durationMs: number;
  readonly attempts: number;
  readonly decision: Decision;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
  readonly message: object | null;
  readonly reset: boolean;
  readonly #title: string;

  constructor({ request, status, fields, body, message, local }: CarriedCall, decision: Decision) {
    const { outcome } = decision;
    const rest = request.asSent !== null;
    this.grpcStatus = outcome.grpcStatus;
    this.status = rest && local === null ? httpOf(outcome.grpcStatus) : outcome.reason === "CANCELLED" ? 499 : status;
    this.reason = outcome.reason;
    this.durationMs = decision.durationMs;
    this.attempts = decision.attempts.length;
    this.decision = decision;
    this.fields = recordOf(fields);
    this.message = message;
    this.reset = local?.reset === true;
    this.body = new TextDecoder().decode(
      rest && message !== null && !Array.isArray(message) ? restBody(request, message) : body,
    );
    this.#title = request.title;
  }

  get ok(): boolean {
    return this.reason === "" && this.status < 400 && this.grpcStatus <= 0;
  }

  explain(): string {
    return explainDecision(this.decision, { request: this.#title });
  }
}
