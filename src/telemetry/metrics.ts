import { LATENCY_BUCKETS, latencyBucket, latencyQuantile } from "../core/latency-buckets.ts";

/**
 * Recorders of numbers: counters, gauges and histograms with labels, kept as plain numbers so that recording is an addition.
 * One Metrics a process; exposition.ts prints it for Prometheus.
 *
 * A family's children are bounded (`maxChildren`): label values come from traffic, and what comes from traffic is limited.
 * Values past the limit are added up in one child whose labels are all "other".
 */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): Family<Counter>;
  gauge(name: string, help: string, labels?: readonly string[]): Family<Gauge>;
  /** Of durations in milliseconds; printed in seconds. */
  histogram(name: string, help: string, labels?: readonly string[]): Family<Histogram>;
  /** Called before each reading, for values that are looked up rather than recorded. */
  onCollect(update: () => void): void;
  /** Every family, after the onCollect callbacks have run. */
  collect(): readonly FamilyReading[];
}

export interface Family<C> {
  /** The child for these label values (in the order of the family's labels). Keep it: looking it up costs more than recording. */
  with(...values: string[]): C;
}

export interface Counter {
  value: number;
  add(amount?: number): void;
}

export interface Gauge {
  value: number;
  set(value: number): void;
  add(amount: number): void;
}

export interface FamilyReading {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly children: ReadonlyMap<
    string,
    { readonly values: readonly string[]; readonly recorder: Counter | Gauge | Histogram }
  >;
}

export function createMetrics(maxChildren = 2_000): Metrics {
  const families = new Map<string, FamilyReading>();
  const collectors: (() => void)[] = [];

  function family<C extends Counter | Gauge | Histogram>(
    type: FamilyReading["type"],
    name: string,
    help: string,
    labels: readonly string[],
    create: () => C,
  ): Family<C> {
    const known = families.get(name);
    if (known !== undefined && (known.type !== type || known.labels.join() !== labels.join()))
      throw new TypeError(`metric ${name} exists as a ${known.type} with labels [${known.labels.join(", ")}]`);
    const children = (known?.children ?? new Map()) as Map<string, { values: readonly string[]; recorder: C }>;
    if (known === undefined) families.set(name, { name, help, type, labels, children });
    return {
      with(...values) {
        const child = children.get(values.join("\u0000"));
        if (child !== undefined) return child.recorder;
        const kept = children.size < maxChildren ? values : labels.map(() => "other");
        const key = kept.join("\u0000");
        const existing = children.get(key);
        if (existing !== undefined) return existing.recorder;
        const recorder = create();
        children.set(key, { values: kept, recorder });
        return recorder;
      },
    };
  }

  return {
    counter: (name, help, labels = []) => family("counter", name, help, labels, () => new Sum()),
    gauge: (name, help, labels = []) => family("gauge", name, help, labels, () => new Level()),
    histogram: (name, help, labels = []) => family("histogram", name, help, labels, () => new Histogram()),
    onCollect: (update) => collectors.push(update),
    collect() {
      for (const update of collectors) update();
      return [...families.values()];
    },
  };
}

class Sum implements Counter {
  value = 0;
  add(amount = 1): void {
    this.value += amount;
  }
}

class Level implements Gauge {
  value = 0;
  set(value: number): void {
    this.value = value;
  }
  add(amount: number): void {
    this.value += amount;
  }
}

/**
 * Durations in ms, in the buckets of core/latency-buckets.ts: any quantile is known within 9 %, from 10 us to 80 s.
 */
export class Histogram {
  readonly buckets = new Float64Array(LATENCY_BUCKETS);
  count = 0;
  sumMs = 0;

  /** `times`: how many it stands for, when not each one is measured. */
  record(ms: number, times = 1): void {
    this.count += times;
    this.sumMs += ms * times;
    this.buckets[latencyBucket(ms)] += times;
  }

  /** The q-quantile (q in 0..1) in ms, 0 when nothing was recorded. `since`: only what was recorded after that copy of `buckets`. */
  quantile(q: number, since?: Float64Array): number {
    return latencyQuantile(since === undefined ? this.buckets : this.buckets.map((held, i) => held - since[i]), q);
  }
}
