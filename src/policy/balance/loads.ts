import type { EndpointLoad } from "../runtime.ts";
import type { BalancerSettings } from "./balancer-settings.ts";
import type { LoadReport } from "./load-report.ts";

/**
 * What endpoints last reported of their load, by slot. Made with the first report: processes that balance by nothing of the kind have none.
 * -1 is "not said".
 */
export class Loads {
  at: Float64Array;
  /** When it last said what weights are made of. */
  weighedAt: Float64Array;
  rif: Float32Array;
  latencyMs: Float32Array;
  qps: Float32Array;
  eps: Float32Array;
  cpu: Float32Array;
  memory: Float32Array;
  eventLoop: Float32Array;
  application: Float32Array;
  /** Own calls that were in flight when the report came, to count those that were sent since. */
  ownInFlight: Int32Array;
  /** Since when reports give a weight without a gap: for the blackout. -1 while they do not. */
  usableSince: Float64Array;

  constructor(capacity: number) {
    this.at = new Float64Array(capacity).fill(Number.NEGATIVE_INFINITY);
    this.weighedAt = new Float64Array(capacity).fill(Number.NEGATIVE_INFINITY);
    this.rif = none(capacity);
    this.latencyMs = none(capacity);
    this.qps = none(capacity);
    this.eps = none(capacity);
    this.cpu = none(capacity);
    this.memory = none(capacity);
    this.eventLoop = none(capacity);
    this.application = none(capacity);
    this.ownInFlight = new Int32Array(capacity);
    this.usableSince = new Float64Array(capacity).fill(-1);
  }

  grow(capacity: number): void {
    const larger = new Loads(capacity);
    for (const name of Object.keys(larger) as (keyof Loads & string)[]) {
      (larger[name] as unknown as Float64Array).set(this[name] as unknown as Float64Array);
    }
    Object.assign(this, larger);
  }

  /** The slot is another endpoint's. */
  forget(slot: number): void {
    this.at[slot] = this.weighedAt[slot] = Number.NEGATIVE_INFINITY;
    this.qps[slot] = this.cpu[slot] = this.memory[slot] = this.eventLoop[slot] = this.application[slot] = -1;
    this.usableSince[slot] = -1;
  }

  set(slot: number, report: LoadReport, ownInFlight: number, now: number): void {
    this.at[slot] = now;
    this.rif[slot] = report.inFlight;
    this.latencyMs[slot] = report.latencyMs;
    this.ownInFlight[slot] = ownInFlight;
    // As gRFC A58: a report of which no weight can be made leaves the last one as it is.
    if (!(report.qps > 0) && this.qps[slot] > 0) return;
    this.qps[slot] = report.qps;
    this.eps[slot] = report.eps;
    this.cpu[slot] = report.cpu;
    this.memory[slot] = report.memory;
    this.eventLoop[slot] = report.eventLoop;
    this.application[slot] = report.application;
    if (!(report.qps > 0)) return;
    this.weighedAt[slot] = now;
    if (this.usableSince[slot] < 0) this.usableSince[slot] = now;
  }

  /** What a slot's endpoint reported last, null when nothing. */
  of(slot: number): EndpointLoad | null {
    if (this.at[slot] === Number.NEGATIVE_INFINITY) return null;
    return {
      inFlight: this.rif[slot],
      latencyMs: this.latencyMs[slot],
      callsPerSecond: this.qps[slot],
      utilization: this.utilization(slot, "auto"),
      memory: this.memory[slot],
    };
  }

  utilization(slot: number, kind: BalancerSettings["utilization"]): number {
    switch (kind) {
      case "application":
        return this.application[slot];
      case "cpu":
        return this.cpu[slot];
      case "memory":
        return this.memory[slot];
      case "event-loop":
        return this.eventLoop[slot];
      default:
        return this.application[slot] > 0 ? this.application[slot] : Math.max(this.cpu[slot], this.eventLoop[slot]);
    }
  }

  /**
   * gRFC A58 (client-side weighted round robin): qps / (utilisation + eps / qps x penalty); 0 while there is no weight to be had: no usable report, one that
   * is older than the expiration, or the blackout since the first is not over.
   */
  weightOf(slot: number, settings: BalancerSettings, now: number): number {
    const { utilization, blackoutMs, expirationMs, errorPenalty } = settings;
    if (now - this.weighedAt[slot] >= expirationMs) {
      this.usableSince[slot] = -1;
      return 0;
    }
    const since = this.usableSince[slot];
    if (since < 0 || now - since < blackoutMs) return 0;
    const qps = this.qps[slot];
    const used = this.utilization(slot, utilization);
    if (!(qps > 0) || !(used > 0)) return 0;
    const eps = this.eps[slot];
    const penalty = eps > 0 ? (eps / qps) * errorPenalty : 0;
    return qps / (used + penalty);
  }
}

function none(capacity: number): Float32Array {
  return new Float32Array(capacity).fill(-1);
}
