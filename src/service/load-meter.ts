import type { Clock } from "../core/clock.ts";
import type { Histogram } from "../telemetry/metrics.ts";
import type { InFlight } from "./environment.ts";
import type { ServedCalls } from "./served-calls.ts";

/** What a server tells the control plane about its load, about once a second. Ratios lie in 0..1; cpu may exceed 1 with several threads. */
export interface ServerLoad {
  readonly id: string;
  readonly inFlight: number;
  /** Since the last reading. */
  readonly callsPerSecond: number;
  readonly eventLoop: number;
  readonly cpu: number;
  readonly residentBytes: bigint;
  /** These and `latency` since the server started. */
  readonly calls: bigint;
  /** Those that failed by the server's fault. */
  readonly errors: bigint;
  /** Of the process's monotonic clock. */
  readonly measuredMs: number;
  /** Buckets of telemetry's Histogram that hold something, and how many each holds. */
  readonly latency: { readonly buckets: number[]; readonly counts: bigint[] };
}

/** Measures one endpoint's calls and its process between two readings. Calls are timed from its making on. */
export class LoadMeter {
  readonly #id: string;
  readonly #inFlight: InFlight;
  readonly #served: ServedCalls;
  readonly #clock: Clock;
  #at: number;
  #calls: number;
  #loop = performance.eventLoopUtilization();
  #cpu = process.cpuUsage();

  constructor(id: string, inFlight: InFlight, served: ServedCalls, clock: Clock) {
    this.#id = id;
    this.#inFlight = inFlight;
    this.#served = served;
    this.#clock = clock;
    this.#at = clock.now();
    this.#calls = served.calls;
    served.expect(0);
  }

  read(): ServerLoad {
    const now = this.#clock.now();
    const seconds = Math.max(0.001, (now - this.#at) / 1000);
    const loop = performance.eventLoopUtilization();
    const cpu = process.cpuUsage();
    const { calls, errors, latency } = this.#served;
    const callsPerSecond = (calls - this.#calls) / seconds;
    const load = {
      id: this.#id,
      inFlight: this.#inFlight.count,
      callsPerSecond,
      eventLoop: performance.eventLoopUtilization(loop, this.#loop).utilization || 0,
      cpu: (cpu.user + cpu.system - this.#cpu.user - this.#cpu.system) / 1e6 / seconds,
      residentBytes: BigInt(process.memoryUsage.rss()),
      calls: BigInt(calls),
      errors: BigInt(errors),
      measuredMs: now,
      latency: sparse(latency),
    };
    this.#served.expect(callsPerSecond);
    this.#at = now;
    this.#calls = calls;
    this.#loop = loop;
    this.#cpu = cpu;
    return load;
  }
}

function sparse({ buckets: all }: Histogram): { buckets: number[]; counts: bigint[] } {
  const buckets: number[] = [];
  const counts: bigint[] = [];
  for (const [bucket, count] of all.entries()) {
    if (count === 0) continue;
    buckets.push(bucket);
    counts.push(BigInt(count));
  }
  return { buckets, counts };
}
