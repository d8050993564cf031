import type { Endpoint } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { type Answer, EMPTY, failure, httpOf, OK } from "./answer.ts";
import type { SimAttempt } from "./attempt.ts";
import type { EventQueue } from "./event-queue.ts";
import { recordOf } from "./fields.ts";
import { createLatency } from "./latency.ts";
import { LoadReports } from "./load-reports.ts";
import type { Seeds } from "./seeds.ts";
import { ServerQueue } from "./server-queue.ts";
import type { Fault, ModelAnswer, ServiceModel } from "./types.ts";

/** Goes on with an attempt once the modelled work is done: calls others, runs a handler. Answers or fails it. */
export type Serve = (attempt: SimAttempt, replica: Replica) => void;

/** One server of a service: its capacity, its faults, what it answers. */
export class Replica {
  endpoint: Endpoint;
  readonly model: ServiceModel;
  readonly connectMs: number;
  readonly networkMs: number;
  /** Attempts sent to it. */
  attempts = 0;
  /** At once, in line or being served; and the most there ever were since it was last set to 0. */
  inFlight = 0;
  maxInFlight = 0;
  down = false;
  readonly #queue: ServerQueue;
  readonly #latency: (random: Random) => number;
  readonly #random: Random;
  readonly #chance: Random;
  readonly #speed: number;
  readonly #serve: Serve | null;
  readonly #faults = new Set<Fault>();
  /** Latencies of faults, which the last of them decides. */
  readonly #instead = new Map<Fault, (random: Random) => number>();
  readonly #reports: LoadReports | null;
  /** Attempts whose modelled work is done, and that `serve` goes on with. */
  readonly #beyond = new Set<SimAttempt>();

  constructor(
    endpoint: Endpoint,
    model: ServiceModel,
    speed: number,
    events: EventQueue,
    seeds: Seeds,
    serve: Serve | null,
  ) {
    const { id } = endpoint;
    this.endpoint = endpoint;
    this.model = model;
    this.connectMs = atLeast0(model.connectMs, `${id}.connectMs`);
    this.networkMs = atLeast0(model.networkMs, `${id}.networkMs`);
    this.#latency = createLatency(model.latencyMs ?? DEFAULT_LATENCY_MS, `${endpoint.service}.latencyMs`);
    this.#random = seeds.of(`latency ${id}`);
    this.#chance = seeds.of(`chance ${id}`);
    this.#serve = serve;
    this.#reports = model.reportsLoad ? new LoadReports(events) : null;
    const { concurrency = Number.POSITIVE_INFINITY, above = "line", maxWaiting = Number.POSITIVE_INFINITY } = model;
    if (!(concurrency > 0)) bad(id, "concurrency", concurrency, "above 0");
    if (!(speed > 0)) bad(id, "speed", speed, "above 0");
    this.#queue = new ServerQueue(events, concurrency, above === "share", maxWaiting);
    this.#queue.speed = this.#speed = speed;
  }

  get id(): string {
    return this.endpoint.id;
  }

  serve(attempt: SimAttempt): void {
    if (this.down) {
      attempt.lost("reset", `${this.id} went away`);
      return;
    }
    let workMs = this.#latency(this.#random);
    for (const latency of this.#instead.values()) workMs = latency(this.#random) * this.#speed;
    for (const { addMs, hangRate } of this.#faults) {
      if (addMs !== undefined) workMs += addMs * this.#speed;
      if (hangRate !== undefined && this.#chance.next() < hangRate) workMs = Number.POSITIVE_INFINITY;
    }
    attempt.workMs = workMs;
    if (!this.#queue.submit(attempt)) {
      attempt.lost("refused", `${this.id} has no room for another call`);
      return;
    }
    this.#reports?.began(attempt, this.inFlight);
    attempt.atServer = true;
    this.inFlight++;
    if (this.inFlight > this.maxInFlight) this.maxInFlight = this.inFlight;
  }

  /** The modelled work is done. */
  finished(attempt: SimAttempt): void {
    if (attempt.done) {
      this.inFlight--; // it was finished for nobody
      return;
    }
    for (const { resetRate } of this.#faults) {
      if (resetRate !== undefined && this.#chance.next() < resetRate) {
        this.inFlight--;
        attempt.lost("reset", `${this.id} lost the connection`);
        return;
      }
    }
    const wrong = this.#failed();
    if (wrong === null && this.#serve !== null) {
      this.#beyond.add(attempt);
      this.#serve(attempt, this);
    } else this.answer(attempt, wrong ?? this.#answer(attempt));
  }

  answer(attempt: SimAttempt, answer: Answer): void {
    this.#beyond.delete(attempt);
    this.inFlight--;
    attempt.answered(this.#reports === null ? answer : this.#reports.with(answer, this.inFlight, attempt));
  }

  answerAsModelled(attempt: SimAttempt): void {
    this.answer(attempt, this.#answer(attempt));
  }

  abandoned(attempt: SimAttempt): void {
    if (this.model.finishesCancelled && attempt.place >= 0) return;
    if (!this.#beyond.delete(attempt)) this.#queue.remove(attempt);
    this.inFlight--;
  }

  add(fault: Fault): void {
    this.#faults.add(fault);
    if (fault.latencyMs !== undefined) this.#instead.set(fault, createLatency(fault.latencyMs, "a fault's latencyMs"));
    this.#changed();
  }

  clear(fault: Fault): void {
    this.#faults.delete(fault);
    this.#instead.delete(fault);
    this.#changed();
  }

  #changed(): void {
    let speed = this.#speed;
    let down = false;
    for (const { stallMs, slowBy, down: isDown } of this.#faults) {
      if (stallMs !== undefined) speed = 0;
      if (slowBy !== undefined) speed /= slowBy;
      if (isDown === true) down = true;
    }
    this.#queue.speed = speed;
    if (down && !this.down) {
      this.down = true;
      const lost = [...(this.#queue.drain() as SimAttempt[]), ...this.#beyond];
      this.#beyond.clear();
      this.inFlight -= lost.length;
      for (const attempt of lost) attempt.lost("reset", `${this.id} went away`);
    }
    this.down = down;
  }

  #failed(): Answer | null {
    for (const { errorRate, status = 503, grpcStatus } of this.#faults) {
      if (errorRate !== undefined && this.#chance.next() < errorRate) return failure(status, grpcStatus);
    }
    const { errorRate = 0, errorStatus = 500 } = this.model;
    if (errorRate <= 0 || this.#chance.next() >= errorRate) return null;
    return errorStatus <= 16 ? failure(httpOf(errorStatus), errorStatus) : failure(errorStatus);
  }

  #answer(attempt: SimAttempt): Answer {
    const { answer } = this.model;
    if (answer === undefined) return OK;
    const { head, body } = attempt.call.request;
    return modelAnswer(
      answer({
        method: head.method,
        path: attempt.path === "" ? head.path : attempt.path,
        authority: attempt.authority === "" ? head.authority : attempt.authority,
        fields: recordOf(attempt.head),
        body,
        endpoint: this.id,
      }),
    );
  }
}

function modelAnswer({ status = 200, grpcStatus, fields = {}, body }: ModelAnswer): Answer {
  const base = status >= 400 || (grpcStatus ?? 0) > 0 ? failure(status, grpcStatus) : OK;
  return {
    ...base,
    status,
    fields: Object.entries(fields).flatMap(([name, value]) => [name.toLowerCase(), value]),
    body: body === undefined ? EMPTY : typeof body === "string" ? new TextEncoder().encode(body) : body,
  };
}

function atLeast0(value: number | undefined, where: string): number {
  if (value !== undefined && !(value >= 0)) bad(where, "", value, "at least 0");
  return value ?? 0;
}

function bad(id: string, field: string, value: number, rule: string): never {
  const where = field === "" ? id : `${id}: ${field}`;
  throw new WeftError("invalid_argument", `${where} must be ${rule}, not ${value}`, {
    reason: "BAD_OPTION",
    place: { field: where },
  });
}

const DEFAULT_LATENCY_MS = 10;
