import { grown } from "../../core/grown.ts";
import type { Random } from "../../core/random.ts";
import type { EndpointTable } from "../balance/endpoint-table.ts";
import type { Group } from "../balance/group.ts";
import { ms } from "../resource/duration.ts";
import type { OutlierSettings } from "./outlier-field.ts";

/**
 * Envoy's outlier detection for the endpoints of one backend (architecture overview, "Outlier detection"; config.cluster.v3.OutlierDetection): counts in
 * flat arrays by the endpoint table's slots. An ejection is written to the table (`outlierUntil`), where balancers see it.
 *
 *     an answer        5xx in a row, 502 to 504 in a row             -> eject at once
 *     a lost attempt   the same as 503 or 504; split: a row of its own -> eject at once
 *     each interval    success rates compared; failure percentages   -> eject; multipliers of the well-behaved go down by 1
 *
 *     O1  Never more than maxEjectionPercent of the group are out at the moment of an ejection, but for one endpoint.
 *     O2  An endpoint is out for base x (times it was put out lately), at most for the maximum; then its rows begin at 0.
 *     O3  Whether an ejection that a rule wants is made is drawn by that rule's enforcing percentage.
 *
 * Envoy sweeps by a timer; here the first call after an interval does, so that an idle service costs nothing. An endpoint comes back when its time is over,
 * not at the next sweep.
 */
export class OutlierDetector {
  readonly settings: OutlierSettings;
  /** How many were ejected, by OutlierRule. */
  readonly ejections: number[] = OUTLIER_RULES.map(() => 0);
  #serverErrors = new Uint16Array(0);
  #gatewayErrors = new Uint16Array(0);
  #localErrors = new Uint16Array(0);
  #good = new Uint32Array(0);
  #all = new Uint32Array(0);
  #localGood = new Uint32Array(0);
  #localAll = new Uint32Array(0);
  #multiplier = new Uint16Array(0);
  #lastRule = new Int8Array(0);
  #generation = new Uint32Array(0);
  #sweepAt = Number.NEGATIVE_INFINITY;

  constructor(settings: OutlierSettings) {
    this.settings = settings;
  }

  /** The endpoint answered with this HTTP status (that of a gRPC status: httpStatusOfGrpc). */
  answered(table: EndpointTable, group: Group, slot: number, status: number, random: Random, now: number): void {
    this.#reach(table, slot);
    if (this.settings.splitExternalLocalOriginErrors) {
      this.#localErrors[slot] = 0;
      this.#localGood[slot]++;
      this.#localAll[slot]++;
    }
    this.#coded(table, group, slot, status, random, now);
  }

  /** The attempt got no answer: connections refused and lost, time-outs. */
  lost(table: EndpointTable, group: Group, slot: number, timeout: boolean, random: Random, now: number): void {
    this.#reach(table, slot);
    const { splitExternalLocalOriginErrors, consecutiveLocalOriginFailure } = this.settings;
    if (!splitExternalLocalOriginErrors) {
      this.#coded(table, group, slot, timeout ? 504 : 503, random, now);
      return;
    }
    this.#localAll[slot]++;
    if (++this.#localErrors[slot] < consecutiveLocalOriginFailure) return;
    this.#localErrors[slot] = 0;
    this.#eject(table, group, slot, OutlierRule.consecutiveLocalOriginFailure, random, now);
  }

  /** To be called before endpoints are chosen from: looks back when an interval has passed. */
  sweep(table: EndpointTable, group: Group, random: Random, now: number): void {
    if (now < this.#sweepAt) return;
    const first = this.#sweepAt === Number.NEGATIVE_INFINITY;
    this.#sweepAt = now + this.settings.intervalMs;
    if (!first) this.#lookBack(table, group, random, now);
  }

  /** What is known of an endpoint, for explanations; "" when nothing speaks against it. */
  describe(table: EndpointTable, slot: number, now: number): string {
    if (slot >= this.#generation.length || this.#generation[slot] !== table.generation[slot]) return "";
    const left = table.outlierUntil[slot] - now;
    if (left > 0) {
      const rule = this.#lastRule[slot] < 0 ? "another policy" : OUTLIER_RULES[this.#lastRule[slot]];
      return `ejected for ${ms(left)} more (${rule})`;
    }
    const { consecutive5xx, consecutiveLocalOriginFailure } = this.settings;
    if (this.#localErrors[slot] > 0)
      return `${this.#localErrors[slot]} of ${consecutiveLocalOriginFailure} failures seen`;
    return this.#serverErrors[slot] > 0 ? `${this.#serverErrors[slot]} of ${consecutive5xx} failures seen` : "";
  }

  #coded(table: EndpointTable, group: Group, slot: number, status: number, random: Random, now: number): void {
    this.#all[slot]++;
    if (status < 500) {
      this.#good[slot]++;
      this.#serverErrors[slot] = this.#gatewayErrors[slot] = 0;
      return;
    }
    const { consecutive5xx, consecutiveGatewayFailure } = this.settings;
    // Envoy's order: what is a gateway failure is judged as one first.
    if (status >= 502 && status <= 504) {
      if (++this.#gatewayErrors[slot] >= consecutiveGatewayFailure) {
        this.#gatewayErrors[slot] = 0;
        this.#eject(table, group, slot, OutlierRule.consecutiveGatewayFailure, random, now);
      }
    } else this.#gatewayErrors[slot] = 0;
    if (++this.#serverErrors[slot] < consecutive5xx) return;
    this.#serverErrors[slot] = 0;
    this.#eject(table, group, slot, OutlierRule.consecutive5xx, random, now);
  }

  #eject(table: EndpointTable, group: Group, slot: number, rule: OutlierRule, random: Random, now: number): void {
    if (table.outlierUntil[slot] > now) return;
    const { maxEjectionPercent, baseEjectionMs, maxEjectionMs } = this.settings;
    let out = 0;
    for (const member of group.slots) if (table.outlierUntil[member] > now) out++;
    if (100 * out >= maxEjectionPercent * group.slots.length) return;
    const enforcing = this.settings[ENFORCING[rule]];
    if (enforcing < 100 && (enforcing <= 0 || random.next() * 100 >= enforcing)) return;
    // Envoy's backoff: the time grows no further than one step beyond the maximum.
    if (this.#multiplier[slot] * baseEjectionMs < maxEjectionMs + baseEjectionMs) this.#multiplier[slot]++;
    table.outlierUntil[slot] = now + Math.min(this.#multiplier[slot] * baseEjectionMs, maxEjectionMs);
    this.#lastRule[slot] = rule;
    this.#serverErrors[slot] = this.#gatewayErrors[slot] = this.#localErrors[slot] = 0;
    this.ejections[rule]++;
  }

  #lookBack(table: EndpointTable, group: Group, random: Random, now: number): void {
    const { settings } = this;
    for (const slot of group.slots) {
      this.#reach(table, slot);
      if (
        table.outlierUntil[slot] <= now &&
        this.#multiplier[slot] > 0 &&
        table.outlierUntil[slot] < now - settings.intervalMs
      )
        this.#multiplier[slot]--;
    }
    this.#compare(
      table,
      group,
      this.#good,
      this.#all,
      OutlierRule.successRate,
      OutlierRule.failurePercentage,
      random,
      now,
    );
    if (settings.splitExternalLocalOriginErrors) {
      const { localOriginSuccessRate, failurePercentageLocalOrigin } = OutlierRule;
      this.#compare(
        table,
        group,
        this.#localGood,
        this.#localAll,
        localOriginSuccessRate,
        failurePercentageLocalOrigin,
        random,
        now,
      );
    }
    for (const slot of group.slots)
      this.#good[slot] = this.#all[slot] = this.#localGood[slot] = this.#localAll[slot] = 0;
  }

  #compare(
    table: EndpointTable,
    group: Group,
    good: Uint32Array,
    all: Uint32Array,
    byRate: OutlierRule,
    byPercentage: OutlierRule,
    random: Random,
    now: number,
  ): void {
    const { settings } = this;
    const inRotation = group.slots.filter((slot) => table.outlierUntil[slot] <= now && all[slot] > 0);
    const rateOf = (slot: number): number => (100 * good[slot]) / all[slot];
    const compared = inRotation.filter((slot) => all[slot] >= settings.successRateRequestVolume);
    if (compared.length >= settings.successRateMinimumHosts) {
      const mean = compared.reduce((sum, slot) => sum + rateOf(slot), 0) / compared.length;
      const variance = compared.reduce((sum, slot) => sum + (rateOf(slot) - mean) ** 2, 0) / compared.length;
      const threshold = mean - (Math.sqrt(variance) * settings.successRateStdevFactor) / 1000;
      for (const slot of compared) if (rateOf(slot) < threshold) this.#eject(table, group, slot, byRate, random, now);
    }
    const counted = inRotation.filter((slot) => all[slot] >= settings.failurePercentageRequestVolume);
    if (counted.length < settings.failurePercentageMinimumHosts) return;
    for (const slot of counted) {
      if (100 - rateOf(slot) >= settings.failurePercentageThreshold)
        this.#eject(table, group, slot, byPercentage, random, now);
    }
  }

  /** Room for the slot, and nothing of what it held before when it is another endpoint's now. */
  #reach(table: EndpointTable, slot: number): void {
    if (slot >= this.#generation.length) this.#grow(table.generation.length);
    if (this.#generation[slot] === table.generation[slot] && this.#lastRule[slot] !== UNUSED) return;
    this.#generation[slot] = table.generation[slot];
    this.#lastRule[slot] = NO_RULE;
    this.#serverErrors[slot] = this.#gatewayErrors[slot] = this.#localErrors[slot] = this.#multiplier[slot] = 0;
    this.#good[slot] = this.#all[slot] = this.#localGood[slot] = this.#localAll[slot] = 0;
  }

  #grow(size: number): void {
    this.#serverErrors = grown(this.#serverErrors, new Uint16Array(size));
    this.#gatewayErrors = grown(this.#gatewayErrors, new Uint16Array(size));
    this.#localErrors = grown(this.#localErrors, new Uint16Array(size));
    this.#good = grown(this.#good, new Uint32Array(size));
    this.#all = grown(this.#all, new Uint32Array(size));
    this.#localGood = grown(this.#localGood, new Uint32Array(size));
    this.#localAll = grown(this.#localAll, new Uint32Array(size));
    this.#multiplier = grown(this.#multiplier, new Uint16Array(size));
    this.#lastRule = grown(this.#lastRule, new Int8Array(size).fill(UNUSED));
    this.#generation = grown(this.#generation, new Uint32Array(size));
  }
}

export const OutlierRule = {
  consecutive5xx: 0,
  consecutiveGatewayFailure: 1,
  consecutiveLocalOriginFailure: 2,
  successRate: 3,
  localOriginSuccessRate: 4,
  failurePercentage: 5,
  failurePercentageLocalOrigin: 6,
} as const;
export type OutlierRule = (typeof OutlierRule)[keyof typeof OutlierRule];

/** By OutlierRule, for explanations and metrics. */
export const OUTLIER_RULES: readonly string[] = [
  "consecutive 5xx",
  "consecutive gateway failures",
  "consecutive local-origin failures",
  "success rate",
  "local-origin success rate",
  "failure percentage",
  "local-origin failure percentage",
];

const ENFORCING = [
  "enforcingConsecutive5xx",
  "enforcingConsecutiveGatewayFailure",
  "enforcingConsecutiveLocalOriginFailure",
  "enforcingSuccessRate",
  "enforcingLocalOriginSuccessRate",
  "enforcingFailurePercentage",
  "enforcingFailurePercentageLocalOrigin",
] as const;

/** Marks a slot that was never reached. */
const UNUSED = -2;
const NO_RULE = -1;
