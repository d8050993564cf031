import type { CallStats } from "./call-stats.ts";

/**
 * Figures of the last five seconds from a gateway's Prometheus text: `add` gets a scrape about once a second, `endpoints` and `total` ask. A
 * gateway that restarts counts from nothing again: samples from before are forgotten.
 */
export class GatewayStats {
  readonly #samples: Sample[] = [];

  add(text: string, nowMs: number): void {
    const sample = parseSample(text, nowMs);
    const last = this.#samples.at(-1);
    if (last !== undefined && last.total.count > sample.total.count) this.#samples.length = 0;
    this.#samples.push(sample);
    if (this.#samples.length > WINDOW_SAMPLES) this.#samples.shift();
  }

  /** Null before two scrapes. */
  endpoints(ids: readonly string[]): CallStats | null {
    return this.#between((sample) =>
      sum(ids.map((id) => sample.endpoints.get(id)).filter((series) => series !== undefined)),
    );
  }

  total(): CallStats | null {
    return this.#between((sample) => sample.total);
  }

  #between(select: (sample: Sample) => Series): CallStats | null {
    const first = this.#samples.at(0);
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || first === last) return null;
    const from = select(first);
    const to = select(last);
    const calls = Math.max(0, to.count - from.count);
    const buckets = [...to.buckets].map(([le, count]) => ({ le, count: count - (from.buckets.get(le) ?? 0) }));
    return {
      perSecond: (calls * 1_000) / (last.atMs - first.atMs),
      p50Ms: quantile(buckets, calls, 0.5),
      p99Ms: quantile(buckets, calls, 0.99),
      errors: to.errors,
      failing: to.errors > from.errors,
    };
  }
}

const WINDOW_SAMPLES = 6;

interface Sample {
  readonly atMs: number;
  readonly endpoints: Map<string, Series>;
  readonly total: Series;
}

interface Series {
  count: number;
  errors: number;
  /** Cumulative counts by upper bound in seconds. */
  readonly buckets: Map<number, number>;
}

function parseSample(text: string, atMs: number): Sample {
  const sample: Sample = { atMs, endpoints: new Map(), total: { count: 0, errors: 0, buckets: new Map() } };
  for (const line of text.split("\n")) {
    const match =
      /^(weft_(?:endpoint|call)_duration_seconds_(?:bucket|count)|weft_attempts_total|weft_call_errors_total)\{(.*)\} (\S+)$/.exec(
        line,
      );
    if (match === null) continue;
    const labels = parseLabels(match[2]);
    const value = Number(match[3]);
    const { endpoint } = labels;
    let series = sample.total;
    if (endpoint !== undefined) {
      series = sample.endpoints.get(endpoint) ?? { count: 0, errors: 0, buckets: new Map() };
      sample.endpoints.set(endpoint, series);
    }
    if (match[1].endsWith("_bucket")) {
      const le = labels.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels.le);
      series.buckets.set(le, (series.buckets.get(le) ?? 0) + value);
    } else if (match[1].endsWith("_count")) series.count += value;
    else if (match[1] === "weft_call_errors_total" || isFailure(labels.outcome ?? "")) series.errors += value;
  }
  return sample;
}

/** Attempts that ended well are called "ok"; those that the caller or the balancer gave up are nobody's failure. */
function isFailure(outcome: string): boolean {
  return outcome !== "ok" && !outcome.startsWith("cancelled") && !/^[1-4]\d\d$/.test(outcome);
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name, value] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[name] = value.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
  }
  return labels;
}

function sum(all: readonly Series[]): Series {
  const total: Series = { count: 0, errors: 0, buckets: new Map() };
  for (const { count, errors, buckets } of all) {
    total.count += count;
    total.errors += errors;
    for (const [le, value] of buckets) total.buckets.set(le, (total.buckets.get(le) ?? 0) + value);
  }
  return total;
}

/** Interpolated within the bucket on a logarithmic scale, since buckets double. */
function quantile(buckets: { le: number; count: number }[], calls: number, q: number): number {
  if (calls === 0) return Number.NaN;
  buckets.sort((a, b) => a.le - b.le);
  const rank = q * calls;
  let below = 0;
  let lower = 0;
  for (const { le, count } of buckets) {
    if (count >= rank) {
      if (!Number.isFinite(le)) return lower * 1_000;
      const share = count === below ? 1 : (rank - below) / (count - below);
      const from = lower === 0 ? le / 2 : lower;
      return from * (le / from) ** share * 1_000;
    }
    below = count;
    lower = le;
  }
  return lower * 1_000;
}
