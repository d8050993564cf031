import type { Counter, Family, Histogram, Metrics } from "../telemetry/metrics.ts";
import { type CallEnd, isServerError } from "./call-end.ts";

/** Counts calls and attempts by how they ended. */
export interface CallMetrics {
  record(end: CallEnd): void;
}

/**
 *     weft_calls_total{service, code}              calls by HTTP status, or by gRPC status for gRPC
 *     weft_call_errors_total{service}              those that were the server's fault
 *     weft_call_duration_seconds{service}
 *     weft_attempts_total{service, endpoint, outcome}    every attempt: retries are attempts beyond a call's first
 *     weft_endpoint_duration_seconds{service, endpoint}  of each attempt
 */
export function createCallMetrics(metrics: Metrics): CallMetrics {
  const families = {
    calls: metrics.counter("weft_calls_total", "Calls by how they ended: HTTP status, or gRPC status of gRPC calls.", [
      "service",
      "code",
    ]),
    errors: metrics.counter("weft_call_errors_total", "Calls that failed by the server's fault.", ["service"]),
    durations: metrics.histogram("weft_call_duration_seconds", "Duration of calls, all attempts included.", [
      "service",
    ]),
    attempts: metrics.counter("weft_attempts_total", "Attempts at endpoints by how they ended.", [
      "service",
      "endpoint",
      "outcome",
    ]),
    endpointDurations: metrics.histogram("weft_endpoint_duration_seconds", "Duration of attempts.", [
      "service",
      "endpoint",
    ]),
  };
  const services = new Map<string, ServiceRecorder>();
  return {
    record(end) {
      let service = services.get(end.service);
      if (service === undefined) {
        if (services.size > MAX_SERVICES) services.clear(); // names come from the registry; the families bound what is kept
        service = new ServiceRecorder(end.service, families);
        services.set(end.service, service);
      }
      service.record(end);
    },
  };
}

const MAX_SERVICES = 10_000;

interface Families {
  calls: Family<Counter>;
  errors: Family<Counter>;
  durations: Family<Histogram>;
  attempts: Family<Counter>;
  endpointDurations: Family<Histogram>;
}

/** A service's recorders, looked up by number or short name instead of by joined labels. */
class ServiceRecorder {
  readonly #name: string;
  readonly #families: Families;
  readonly #durations: Histogram;
  readonly #errors: Counter;
  readonly #byCode: Counter[] = [];
  readonly #endpoints = new Map<string, { durations: Histogram; outcomes: Map<string, Counter> }>();

  constructor(name: string, families: Families) {
    this.#name = name;
    this.#families = families;
    this.#durations = families.durations.with(name);
    this.#errors = families.errors.with(name);
  }

  record(end: CallEnd): void {
    const { status, grpcStatus } = end.outcome;
    const code = grpcStatus >= 0 ? grpcStatus : status;
    (this.#byCode[code] ??= this.#families.calls.with(
      this.#name,
      grpcStatus >= 0 ? `grpc:${grpcStatus}` : `${status}`,
    )).add();
    this.#durations.record(end.durationMs);
    if (isServerError(end)) this.#errors.add();
    for (const attempt of end.attempts) {
      let endpoint = this.#endpoints.get(attempt.endpoint);
      if (endpoint === undefined) {
        if (this.#endpoints.size > MAX_SERVICES) this.#endpoints.clear();
        endpoint = {
          durations: this.#families.endpointDurations.with(this.#name, attempt.endpoint),
          outcomes: new Map(),
        };
        this.#endpoints.set(attempt.endpoint, endpoint);
      }
      endpoint.durations.record(attempt.durationMs);
      let outcome = endpoint.outcomes.get(attempt.outcome);
      if (outcome === undefined) {
        outcome = this.#families.attempts.with(this.#name, attempt.endpoint, attempt.outcome);
        endpoint.outcomes.set(attempt.outcome, outcome);
      }
      outcome.add();
    }
  }
}
