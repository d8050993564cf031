import type { Answer } from "./answer.ts";
import type { SimAttempt } from "./attempt.ts";
import type { EventQueue } from "./event-queue.ts";

/**
 * What a server says of its load on its answers, in ORCA's text form. `latency_ms` is what a call would take that came now: of recent calls, those
 * that met about as many others as there are now (Prequal, NSDI 2024, "Probing": latency is estimated near the current requests in flight).
 */
export class LoadReports {
  readonly #events: EventQueue;
  readonly #begun = new WeakMap<SimAttempt, { at: number; met: number }>();
  /** By calls met on arrival, in powers of two: an average that forgets. */
  readonly #latency: number[] = [];
  #served = 0;
  #since = 0;
  #rate = 0;

  constructor(events: EventQueue) {
    this.#events = events;
  }

  began(attempt: SimAttempt, met: number): void {
    this.#begun.set(attempt, { at: this.#events.now(), met });
  }

  with(answer: Answer, inFlight: number, attempt: SimAttempt): Answer {
    const now = this.#events.now();
    const begun = this.#begun.get(attempt);
    if (begun !== undefined) {
      const level = levelOf(begun.met);
      const took = now - begun.at;
      this.#latency[level] = this.#latency[level] === undefined ? took : this.#latency[level] * 0.9 + took * 0.1;
    }
    this.#served++;
    if (now - this.#since >= 1_000) {
      this.#rate = (this.#served * 1_000) / (now - this.#since);
      this.#served = 0;
      this.#since = now;
    }
    const { concurrency = 0 } = attempt.replica?.model ?? {};
    const used = concurrency > 0 ? `cpu_utilization=${Math.min(1, inFlight / concurrency).toFixed(3)},` : "";
    const latency = this.#near(levelOf(inFlight));
    const report = `TEXT ${used}rps_fractional=${this.#rate.toFixed(1)},named_metrics.rif=${inFlight},named_metrics.latency_ms=${latency.toFixed(2)}`;
    return { ...answer, fields: [...answer.fields, "endpoint-load-metrics", report] };
  }

  #near(level: number): number {
    for (let away = 0; away < 32; away++) {
      const found = this.#latency[level - away] ?? this.#latency[level + away];
      if (found !== undefined) return found;
    }
    return 0;
  }
}

function levelOf(inFlight: number): number {
  return Math.floor(Math.log2(inFlight + 1));
}
