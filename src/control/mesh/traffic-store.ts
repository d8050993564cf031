import type { Clock } from "../../core/clock.ts";
import { LATENCY_BUCKETS } from "../../core/latency-buckets.ts";

/** What one process saw of one backend since it began to count. Counts only grow; where they shrink it began anew. */
export interface EdgeReading {
  readonly service: string;
  readonly version: string;
  readonly calls: number;
  readonly errors: number;
  /** Of the calls, those over mutual TLS. */
  readonly secure: number;
  readonly attempts: number;
  /** Buckets (core/latency-buckets.ts) that hold something, ascending, and how many each holds. */
  readonly buckets: readonly number[];
  readonly counts: readonly number[];
}

/** Who tells of calls: a process of weft's, an Envoy, a gRPC client. */
export interface Reporter {
  /** Unique to this run of it. */
  readonly id: string;
  /** The node of the topology that its calls come from: its service, "gateway", or its own name. */
  readonly node: string;
  /** It stands at the edge: whoever calls it is outside. */
  readonly gateway: boolean;
}

/** What came of one backend over the last while. */
export interface EdgeRate {
  readonly service: string;
  readonly version: string;
  readonly seconds: number;
  /** Within those seconds. */
  readonly calls: number;
  readonly errors: number;
  readonly secure: number;
  readonly attempts: number;
  readonly latency: Float64Array;
  /** Since the process began. */
  readonly allCalls: number;
  readonly allErrors: number;
}

/**
 * The calls that data planes tell of, as far as rates need them: of each backend of each reporter the newest reading and one of about WINDOW_MS before.
 * What is kept is bounded by MAX_EDGES backends a reporter and MAX_ALL in all, and goes with the reporter (`forget`).
 *
 *     base ----(5 to 10 s)---- newer ----(up to 5 s)---- newest        a rate is newest less base; every 5 s base goes and newer takes its place
 */
export class TrafficStore {
  readonly #clock: Clock;
  readonly #reporters = new Map<string, Reported>();
  #edges = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes readings: those of the backends alone whose counts changed need to be there. Without any it says that the reporter begins here. */
  report(reporter: Reporter, readings: readonly EdgeReading[]): void {
    const now = this.#clock.now();
    const reported = this.#reported(reporter);
    reported.reporter = reporter; // it may have learned what it is called
    const { edges } = reported;
    for (const reading of readings) {
      const key = `${reading.service}\n${reading.version}`;
      const edge = edges.get(key);
      if (edge !== undefined) edge.take(reading, now);
      else if (edges.size < MAX_EDGES && this.#edges < MAX_ALL) {
        edges.set(key, new Edge(reading, now, reported.toldAt));
        this.#edges++;
      }
    }
    reported.toldAt = now;
  }

  /** It is gone, and what it told with it. */
  forget(id: string): void {
    this.#edges -= this.#reporters.get(id)?.edges.size ?? 0;
    this.#reporters.delete(id);
  }

  /** All that is known now, reporter by reporter. */
  *rates(): Generator<readonly [Reporter, readonly EdgeRate[]]> {
    const now = this.#clock.now();
    for (const { reporter, edges } of this.#reporters.values())
      yield [reporter, Array.from(edges.values(), (edge) => edge.rate(now))];
  }

  get size(): number {
    return this.#edges;
  }

  #reported(reporter: Reporter): Reported {
    let reported = this.#reporters.get(reporter.id);
    if (reported === undefined) {
      reported = { reporter, edges: new Map(), toldAt: null };
      this.#reporters.set(reporter.id, reported);
    }
    return reported;
  }
}

interface Reported {
  reporter: Reporter;
  readonly edges: Map<string, Edge>;
  /** When it told last; null before it told anything. */
  toldAt: number | null;
}

class Edge {
  newest: EdgeReading;
  #newestAt: number;
  #base: EdgeReading;
  #baseAt: number;
  #newer: EdgeReading;
  #newerAt: number;

  /** `toldAt`: when its reporter told last, of other backends: all calls came since then. Null: nobody knows since when they came. */
  constructor(first: EdgeReading, now: number, toldAt: number | null) {
    this.newest = this.#newer = first;
    this.#base = toldAt === null ? first : { ...first, ...NOTHING };
    this.#baseAt = toldAt ?? now;
    this.#newestAt = this.#newerAt = now;
  }

  take(reading: EdgeReading, now: number): void {
    if (reading.calls < this.newest.calls) {
      this.#base = this.#newer = reading;
      this.#baseAt = this.#newerAt = now;
    } else this.#age(now);
    this.newest = reading;
    this.#newestAt = now;
  }

  rate(now: number): EdgeRate {
    this.#age(now);
    const { newest } = this;
    const base = this.#base;
    const latency = new Float64Array(LATENCY_BUCKETS);
    for (const [i, bucket] of newest.buckets.entries())
      if (bucket < LATENCY_BUCKETS) latency[bucket] += newest.counts[i];
    for (const [i, bucket] of base.buckets.entries()) {
      if (bucket < LATENCY_BUCKETS) latency[bucket] = Math.max(0, latency[bucket] - base.counts[i]);
    }
    return {
      service: newest.service,
      version: newest.version,
      seconds: Math.max(MIN_SECONDS, (this.#holdsAt(now) - this.#baseAt) / 1_000),
      calls: newest.calls - base.calls,
      errors: Math.max(0, newest.errors - base.errors),
      secure: Math.max(0, newest.secure - base.secure),
      attempts: Math.max(0, newest.attempts - base.attempts),
      latency,
      allCalls: newest.calls,
      allErrors: newest.errors,
    };
  }

  /** Until when the newest reading holds: without another, nothing came until about a second ago. */
  #holdsAt(now: number): number {
    return Math.max(this.#newestAt, now - REPORT_EVERY_MS);
  }

  #age(now: number): void {
    const at = this.#holdsAt(now);
    if (at - this.#newerAt < HALF_MS) return;
    const silent = at - this.#newerAt >= 2 * HALF_MS;
    this.#base = silent ? this.newest : this.#newer;
    this.#baseAt = silent ? at - HALF_MS : this.#newerAt;
    this.#newer = this.newest;
    this.#newerAt = at;
  }
}

const NOTHING = { calls: 0, errors: 0, secure: 0, attempts: 0, buckets: [], counts: [] };
/** How often reporters tell of what changed. */
const REPORT_EVERY_MS = 1_000;
const HALF_MS = 5_000;
/** A rate of less time than that would be an accident. */
const MIN_SECONDS = 1;
/** Backends of one reporter; more are not kept. */
const MAX_EDGES = 5_000;
const MAX_ALL = 200_000;
