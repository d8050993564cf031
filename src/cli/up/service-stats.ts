import type { EndpointLoad } from "../../contract/gen/weft/control/v1/control.ts";
import { Histogram } from "../../telemetry/metrics.ts";
import type { CallStats } from "./call-stats.ts";

/** What an endpoint's process reported of it, as the control plane has it. */
export type ReportedLoad = Pick<EndpointLoad, "id" | "calls" | "errors" | "measuredMs" | "latency">;

/**
 * Figures of the last five seconds from what services report of the calls they take, whoever makes them: `add` gets all reports that the control
 * plane has, about once a second, `endpoints` asks. An endpoint that restarts counts from nothing again; one that reports no more is forgotten.
 */
export class ServiceStats {
  readonly #endpoints = new Map<string, Reading[]>();

  add(loads: readonly ReportedLoad[], nowMs: number): void {
    const present = new Set<string>();
    for (const load of loads) {
      if (load.measuredMs === 0) continue; // from a process that measures no calls
      present.add(load.id);
      const readings = this.#endpoints.get(load.id) ?? [];
      this.#endpoints.set(load.id, readings);
      const last = readings.at(-1);
      if (last !== undefined && load.measuredMs === last.measuredMs) continue;
      const reading = readingOf(load, nowMs);
      if (last !== undefined && (reading.calls < last.calls || reading.measuredMs < last.measuredMs))
        readings.length = 0;
      readings.push(reading);
      if (readings.length > WINDOW_READINGS) readings.shift();
    }
    for (const [id, readings] of this.#endpoints) {
      const silentMs = nowMs - (readings.at(-1)?.atMs ?? 0);
      if (!present.has(id) || silentMs > SILENT_MS) this.#endpoints.delete(id);
    }
  }

  /** Null while none of them has reported twice. */
  endpoints(ids: readonly string[]): CallStats | null {
    const latency = new Histogram();
    let [known, perSecond, errors, failing] = [false, 0, 0, false];
    for (const id of ids) {
      const readings = this.#endpoints.get(id) ?? [];
      const first = readings.at(0);
      const last = readings.at(-1);
      if (first === undefined || last === undefined || first === last) continue;
      known = true;
      perSecond += ((last.calls - first.calls) * 1_000) / (last.measuredMs - first.measuredMs);
      errors += last.errors;
      failing ||= last.errors > first.errors;
      for (const [i, count] of last.buckets.entries()) latency.buckets[i] += count - first.buckets[i];
    }
    if (!known) return null;
    const timed = latency.buckets.some((count) => count > 0);
    const quantile = (q: number): number => (timed ? latency.quantile(q) : Number.NaN);
    return { perSecond, p50Ms: quantile(0.5), p99Ms: quantile(0.99), errors, failing };
  }
}

/** Six reports are five seconds. */
const WINDOW_READINGS = 6;
const SILENT_MS = 8_000;

interface Reading {
  readonly atMs: number;
  readonly measuredMs: number;
  readonly calls: number;
  readonly errors: number;
  readonly buckets: Float64Array;
}

function readingOf({ calls, errors, measuredMs, latency }: ReportedLoad, atMs: number): Reading {
  const { buckets } = new Histogram();
  for (const [i, bucket] of latency?.buckets.entries() ?? []) {
    if (bucket < buckets.length) buckets[bucket] = Number(latency?.counts[i] ?? 0n);
  }
  return { atMs, measuredMs, calls: Number(calls), errors: Number(errors), buckets };
}
