import type { Clock } from "../core/clock.ts";
import type { InFlight } from "./environment.ts";

/** What a server tells the control plane about its load, at each heartbeat. Ratios lie in 0..1; cpu may exceed 1 with several threads. */
export interface ServerLoad {
  readonly id: string;
  readonly inFlight: number;
  /** Since the last reading. */
  readonly callsPerSecond: number;
  readonly eventLoop: number;
  readonly cpu: number;
  readonly residentBytes: bigint;
}

/** Measures one endpoint's calls and its process between two readings. */
export class LoadMeter {
  readonly #id: string;
  readonly #inFlight: InFlight;
  readonly #clock: Clock;
  #at: number;
  #calls: number;
  #loop = performance.eventLoopUtilization();
  #cpu = process.cpuUsage();

  constructor(id: string, inFlight: InFlight, clock: Clock) {
    this.#id = id;
    this.#inFlight = inFlight;
    this.#clock = clock;
    this.#at = clock.now();
    this.#calls = inFlight.begun;
  }

  read(): ServerLoad {
    const now = this.#clock.now();
    const seconds = Math.max(0.001, (now - this.#at) / 1000);
    const loop = performance.eventLoopUtilization();
    const cpu = process.cpuUsage();
    const { begun, count } = this.#inFlight;
    const load = {
      id: this.#id,
      inFlight: count,
      callsPerSecond: (begun - this.#calls) / seconds,
      eventLoop: performance.eventLoopUtilization(loop, this.#loop).utilization || 0,
      cpu: (cpu.user + cpu.system - this.#cpu.user - this.#cpu.system) / 1e6 / seconds,
      residentBytes: BigInt(process.memoryUsage.rss()),
    };
    this.#at = now;
    this.#calls = begun;
    this.#loop = loop;
    this.#cpu = cpu;
    return load;
  }
}
