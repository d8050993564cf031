import { durationMs } from "../resource/duration.ts";
import type { BalancerKind, BalancerSpec, HashKeySpec, SubsetSpec } from "./balancer-spec.ts";
import { hashText } from "./hash.ts";

/** A BalancerSpec with everything decided. Shared by all calls that it holds for. */
export interface BalancerSettings {
  readonly kind: BalancerKind;
  /** Settings with equal keys are equal, and share the state of their balancers. */
  readonly key: string;
  /** p2c, prequal: how fast old latencies are forgotten. */
  readonly decayMs: number;
  readonly choices: number;
  readonly fullScan: boolean;
  readonly activeRequestBias: number;
  readonly rifQuantile: number;
  readonly poolSize: number;
  readonly probesPerCall: number;
  readonly reportMaxAgeMs: number;
  readonly utilization: "auto" | "application" | "cpu" | "memory" | "event-loop";
  readonly blackoutMs: number;
  readonly expirationMs: number;
  readonly updateMs: number;
  readonly errorPenalty: number;
  readonly minRingSize: number;
  readonly maxRingSize: number;
  readonly tableSize: number;
  /** 0: unbounded. */
  readonly boundedLoad: number;
  readonly hash: readonly HashKeySpec[];
  /** 0: no slow start. */
  readonly slowStartMs: number;
  readonly aggression: number;
  readonly minWarmth: number;
  readonly subset: SubsetSettings | null;
  /** 0: all. */
  readonly subsetSize: number;
  readonly zones: "aware" | "failover" | "off";
  readonly minEndpoints: number;
  readonly zoneOrder: readonly string[];
  readonly priorityFrom: string;
  readonly overprovisioning: number;
  readonly panicThreshold: number;
  /** Whether anything but the kind says which endpoints are there to choose from. */
  readonly placed: boolean;
  /** Whether servers are asked to report their load. */
  readonly wantsReports: boolean;
}

export interface SubsetSettings {
  /** What calls want, when all of it is written; null when headers say it. */
  readonly wanted: string | null;
  readonly match: readonly { readonly key: string; readonly value: string; readonly header: string }[];
  readonly fallback: "none" | "any" | "default";
  readonly byDefault: readonly { readonly key: string; readonly value: string }[];
}

/** Between the values of the subset that a call wants. */
export const VALUE_END = "\u0000";

/** What a checked spec means; null: the default. */
export function balancerSettings(spec: BalancerSpec | null): BalancerSettings {
  return spec === null ? DEFAULT_SETTINGS : settingsOf(spec);
}

function settingsOf(spec: BalancerSpec): BalancerSettings {
  const { kind = "p2c", leastRequest = {}, prequal = {}, load = {}, ring = {}, slowStart, zones = {} } = spec;
  const routing = zones.routing ?? "off";
  const levelled = routing !== "off" || spec.priorityFrom !== undefined;
  const settings = {
    kind,
    decayMs: durationMs(spec.decay ?? "10s"),
    choices: leastRequest.choices ?? 2,
    fullScan: leastRequest.scan === "full",
    activeRequestBias: leastRequest.activeRequestBias ?? 1,
    rifQuantile: prequal.rifQuantile ?? 2 ** -0.25,
    poolSize: prequal.poolSize ?? 16,
    probesPerCall: prequal.probesPerCall ?? 3,
    reportMaxAgeMs: durationMs(prequal.maxAge ?? "1s"),
    utilization: load.utilization ?? "auto",
    blackoutMs: durationMs(load.blackout ?? "10s"),
    expirationMs: durationMs(load.expiration ?? "3m"),
    updateMs: durationMs(load.updatePeriod ?? "1s"),
    errorPenalty: load.errorPenalty ?? 1,
    minRingSize: ring.minSize ?? 1_024,
    maxRingSize: ring.maxSize ?? 8_388_608,
    tableSize: spec.tableSize ?? 65_537,
    boundedLoad: spec.boundedLoad ?? 0,
    hash: spec.hash ?? [],
    slowStartMs: slowStart === undefined ? 0 : durationMs(slowStart.window),
    aggression: slowStart?.aggression ?? 1,
    minWarmth: slowStart?.minWeight ?? 0.1,
    subset: spec.subset === undefined ? null : subsetSettings(spec.subset),
    subsetSize: spec.subsetSize ?? 0,
    zones: routing,
    minEndpoints: zones.minEndpoints ?? 6,
    zoneOrder: zones.order ?? [],
    priorityFrom: spec.priorityFrom ?? "",
    overprovisioning: spec.overprovisioning ?? 1.4,
    panicThreshold: spec.panicThreshold ?? (levelled ? 0.5 : 0),
  };
  return {
    ...settings,
    key: keyOf(JSON.stringify(settings)),
    placed: levelled || settings.panicThreshold > 0 || settings.subset !== null || settings.subsetSize > 0,
    wantsReports: kind === "prequal" || kind === "by-load",
  };
}

/** 64 bits: compared at each pick by whoever has equal settings in another object. */
function keyOf(text: string): string {
  const part = (seed: number): string => hashText(text, seed).toString(16).padStart(8, "0");
  return part(0) + part(1);
}

function subsetSettings({ match, fallback = "any", default: byDefault = {} }: SubsetSpec): SubsetSettings {
  const wants = Object.entries(match).map(([key, value]) =>
    typeof value === "string" ? { key, value, header: "" } : { key, value: "", header: value.header.toLowerCase() },
  );
  return {
    match: wants,
    wanted: wants.some(({ header }) => header !== "") ? null : wants.map(({ value }) => value).join(VALUE_END),
    fallback,
    byDefault: Object.entries(byDefault).map(([key, value]) => ({ key, value })),
  };
}

const DEFAULT_SETTINGS = Object.freeze(settingsOf({}));
