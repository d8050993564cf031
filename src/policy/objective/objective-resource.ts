import { POSITIVE, targetRefs } from "../resource/common-shapes.ts";
import { EVENT_NAMES, isCondition } from "../resource/conditions.ts";
import { durationMs } from "../resource/duration.ts";
import type { Duration, Metadata, TargetRef, WEFT_API } from "../resource/resources.ts";
import { described, list, number, object, oneOf, shown, text } from "../resource/shape.ts";

/** What a service promises (an SLO), counted where calls go out: at the gateway, in sidecars and typed clients. Each process counts for itself. */
export interface Objective {
  readonly apiVersion: typeof WEFT_API;
  readonly kind: "Objective";
  readonly metadata: Metadata;
  readonly spec: ObjectiveSpec;
}

/**
 * Error budget and burn rates as in Google's SRE workbook, chapter 5 ("Alerting on SLOs", multiwindow, multi-burn-rate): the budget is the share of calls
 * that may be bad in `window`; at a burn rate of 1 it is just used up when the window ends.
 */
export interface ObjectiveSpec {
  readonly targetRefs?: readonly TargetRef[];
  readonly availability?: AvailabilitySpec;
  readonly latency?: LatencySpec;
  /** Over what time the promise holds. Default "30d". */
  readonly window?: Duration;
  /** When it burns too fast: in a long window and, so that it ends soon after the trouble has, in a short one. Default: the workbook's table. */
  readonly burns?: readonly BurnSpec[];
  /** A burn counts only with so many calls in its long window. Default 100. */
  readonly minCalls?: number;
  /** Which calls are turned away first while the budget burns. Default: none. */
  readonly shed?: readonly ShedSpec[];
}

export interface AvailabilitySpec {
  /** Percent of calls that are not bad: 99.9. */
  readonly target: number;
  /** Which outcomes are bad: HTTP and gRPC statuses (conditions.ts). Default: 5xx, and gRPC's unknown, deadline_exceeded, internal, unavailable, data_loss. */
  readonly bad?: readonly string[];
}

export interface LatencySpec {
  /** Percent of the calls that are not bad: 99. */
  readonly target: number;
  /** That many are answered within it. */
  readonly within: Duration;
  /** Until the answer has ended (default), or until its head. Streams and sessions are always measured until the head. */
  readonly until?: "end" | "head";
}

export interface BurnSpec {
  readonly rate: number;
  readonly long: Duration;
  readonly short: Duration;
  /** "fast": somebody should look at once. "slow": somebody should look soon. */
  readonly level: "fast" | "slow";
}

/** All of what it says must hold for a call to be turned away. */
export interface ShedSpec {
  /** From this state on: "slow", "fast" or "spent" (the budget is used up). Default "fast". */
  readonly when?: "slow" | "fast" | "spent";
  /** Calls of lower priority (0 to 10; 5 is usual). */
  readonly below?: number;
  /** "shop.v1.Catalog/List", or "shop.v1.Catalog" for all of its methods. */
  readonly methods?: readonly string[];
  /** 0 to 100: the share of these calls. Default 100. */
  readonly percent?: number;
  /** 0..1, in place of all of these: the share of calls that admission is asked to turn away, the least important first (by the priorities of the admission policy, where there is one). */
  readonly pressure?: number;
}

export const DEFAULT_BAD: readonly string[] = [
  "5xx",
  "unknown",
  "deadline_exceeded",
  "internal",
  "unavailable",
  "data_loss",
];

/** 2 % of a 30 day budget in an hour, 5 % in six, 10 % in three days. */
export const DEFAULT_BURNS: readonly BurnSpec[] = [
  { rate: 14.4, long: "1h", short: "5m", level: "fast" },
  { rate: 6, long: "6h", short: "30m", level: "fast" },
  { rate: 1, long: "3d", short: "6h", level: "slow" },
];

/** Windows are also written in days: "30d". */
export function windowMs(text: string): number {
  const days = DAYS.exec(text);
  return days === null ? durationMs(text) : Number(days[1]) * 86_400_000;
}

const DAYS = /^(\d{1,3})d$/;
const window = described(
  (value, path, report) => {
    if (typeof value !== "string" || !DAYS.test(value)) return POSITIVE(value, path, report);
    if (windowMs(value) === 0) report(path, "must be longer than 0");
  },
  () => ({ anyOf: [{ type: "string", pattern: DAYS.source }, POSITIVE.schema ?? {}] }),
);

const target = number(0.001, 99.9999, false);

const outcome = described(
  (value, path, report) => {
    if (typeof value !== "string" || !isCondition(value))
      return report(path, `${shown(value)} is no HTTP or gRPC status`);
    if (EVENT_NAMES.includes(value))
      report(path, `"${value}" is no outcome of a call; name the statuses that its caller sees: "503", "unavailable"`);
  },
  () => ({ type: "string", description: 'the status that a caller sees: "503", "5xx", "unavailable"' }),
);

const burn = object(
  { rate: number(0.1, 100_000, false), long: window, short: window, level: oneOf(["fast", "slow"]) },
  ["rate", "long", "short", "level"],
  (value, path, report) => {
    const { long, short } = value as BurnSpec;
    if (windowMs(short) >= windowMs(long)) report([...path, "short"], 'must be shorter than "long"');
  },
);

const shed = object(
  {
    when: oneOf(["slow", "fast", "spent"]),
    below: number(1, 10, true),
    methods: list(text("a method", /^\/?[A-Za-z_][\w.]*(\/[A-Za-z_]\w*)?$/), 1, 256),
    percent: number(0, 100, false),
    pressure: number(0.001, 1, false),
  },
  [],
  (value, path, report) => {
    const { below, methods, percent, pressure } = value as ShedSpec;
    if (pressure !== undefined && (below !== undefined || methods !== undefined || percent !== undefined)) {
      report(path, '"pressure" leaves the choice to admission; "below", "methods" and "percent" are for another entry');
    }
    if (pressure === undefined && below === undefined && methods === undefined && percent === undefined) {
      report(path, 'needs "below", "methods", "percent" or "pressure": which calls?');
    }
  },
);

/** Objective.spec */
export const objectiveSpec = object(
  {
    targetRefs,
    availability: object({ target, bad: list(outcome, 1, 64) }, ["target"]),
    latency: object({ target, within: POSITIVE, until: oneOf(["end", "head"]) }, ["target", "within"]),
    window,
    burns: list(burn, 1, 8),
    minCalls: number(1, 1_000_000_000, true),
    shed: list(shed, 0, 16),
  },
  [],
  (value, path, report) => {
    const { availability, latency } = value as ObjectiveSpec;
    if (availability === undefined && latency === undefined)
      report(path, 'needs "availability" or "latency": what is promised?');
  },
);
