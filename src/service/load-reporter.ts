import { totalmem } from "node:os";
import { constrainedMemory, cpuUsage, memoryUsage } from "node:process";
import type { Clock } from "../core/clock.ts";
import type { InFlight } from "./environment.ts";
import type { ServedCalls } from "./served-calls.ts";

/**
 * What a server says of its load to callers that ask for it on the calls that they make anyway (policy/balance/load-report.ts has the format). Measured at most every
 * 100 ms, and only while somebody asks: calls of those who do not, pay nothing.
 *
 *     cpu_utilization            of one core, since JavaScript has one
 *     mem_utilization            resident memory of what the machine or its container has
 *     rps_fractional, eps        calls begun and failed a second, over the last second or so
 *     named_metrics.event_loop   share of the time that the event loop was busy
 *     named_metrics.latency_ms   what unary calls took lately that were served beside about as many others as there are now (Prequal, NSDI 2024)
 *     named_metrics.rif          calls being served at this moment
 *     application_utilization    what the service says itself (ServeOptions.utilization)
 */
export class LoadReporter {
  readonly #inFlight: InFlight;
  readonly #served: ServedCalls;
  readonly #clock: Clock;
  readonly #utilization: (() => number) | null;
  readonly #memory: number;
  #at = Number.NEGATIVE_INFINITY;
  #text = "";
  #calls = 0;
  #errors = 0;
  /** Of timed calls, by how many others were served, in powers of two: averages that forget. */
  readonly #latency: number[] = [];
  #qps = 0;
  #eps = 0;
  #cpuShare = 0;
  #loopShare = 0;
  #loop = performance.eventLoopUtilization();
  #cpu = cpuUsage();

  constructor(inFlight: InFlight, served: ServedCalls, clock: Clock, utilization: (() => number) | null = null) {
    this.#inFlight = inFlight;
    this.#served = served;
    this.#clock = clock;
    this.#utilization = utilization;
    const limit = constrainedMemory();
    const total = totalmem();
    this.#memory = limit > 0 && limit < total ? limit : total;
  }

  /** The value of `endpoint-load-metrics` for an answer that is sent now. */
  text(): string {
    const now = this.#clock.now();
    if (now - this.#at >= REFRESH_MS) this.#measure(now);
    return `${this.#text}${this.#inFlight.count}`;
  }

  #measure(now: number): void {
    const { calls, errors } = this.#served;
    const first = this.#at === Number.NEGATIVE_INFINITY;
    const seconds = first ? 0 : (now - this.#at) / 1_000;
    const loop = performance.eventLoopUtilization();
    const cpu = cpuUsage();
    if (!first) {
      // What is older than a second counts less and less; after a pause what is new is all that counts.
      const fresh = 1 - Math.exp(-seconds);
      const mix = (old: number, value: number): number => old + fresh * (value - old);
      this.#qps = mix(this.#qps, (calls - this.#calls) / seconds);
      this.#eps = mix(this.#eps, (errors - this.#errors) / seconds);
      const used = (cpu.user + cpu.system - this.#cpu.user - this.#cpu.system) / 1e6 / seconds;
      this.#cpuShare = mix(this.#cpuShare, used);
      this.#loopShare = mix(this.#loopShare, performance.eventLoopUtilization(loop, this.#loop).utilization || 0);
    }
    // From now on some calls are timed.
    this.#served.onTimed ??= (durationMs) => this.#timed(durationMs);
    this.#served.expect(this.#qps);
    this.#at = now;
    this.#calls = calls;
    this.#errors = errors;
    this.#loop = loop;
    this.#cpu = cpu;
    this.#text = this.#format();
  }

  /** A call ends, and is still counted in flight. */
  #timed(durationMs: number): void {
    const level = levelOf(Math.max(0, this.#inFlight.count - 1));
    const known = this.#latency[level];
    this.#latency[level] = known === undefined ? durationMs : known + FRESH * (durationMs - known);
  }

  #latencyNear(level: number): number {
    for (let away = 0; away < LEVELS; away++) {
      const found = this.#latency[level - away] ?? this.#latency[level + away];
      if (found !== undefined) return found;
    }
    return 0;
  }

  #format(): string {
    const parts = [`mem_utilization=${short(memoryUsage.rss() / this.#memory)}`];
    if (this.#cpuShare > 0) parts.push(`cpu_utilization=${short(this.#cpuShare)}`);
    if (this.#loopShare > 0) parts.push(`named_metrics.event_loop=${short(this.#loopShare)}`);
    if (this.#qps > 0) parts.push(`rps_fractional=${short(this.#qps)}`, `eps=${short(this.#eps)}`);
    const latencyMs = this.#latencyNear(levelOf(this.#inFlight.count));
    if (latencyMs > 0) parts.push(`named_metrics.latency_ms=${short(latencyMs)}`);
    const own = this.#utilization?.();
    if (own !== undefined && own >= 0) parts.push(`application_utilization=${short(own)}`);
    return `TEXT ${parts.join(",")},named_metrics.rif=`;
  }
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function levelOf(inFlight: number): number {
  return Math.min(LEVELS - 1, 31 - Math.clz32(inFlight + 1));
}

const REFRESH_MS = 100;
const LEVELS = 20;
/** What a call counts in the average of its level. */
const FRESH = 0.1;
