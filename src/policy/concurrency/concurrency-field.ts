import { READING_MS } from "../admission/load-state.ts";
import { durationMs } from "../resource/duration.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import type { Duration } from "../resource/resources.ts";
import { duration, number, object, oneOf } from "../resource/shape.ts";

/** TrafficPolicy.spec.concurrency: a limit of calls in flight that finds its own number. */
export interface ConcurrencySpec {
  /** Default "gradient2". "off" takes away what a less specific policy sets. */
  readonly algorithm?: ConcurrencyAlgorithm | "off";
  /** Who holds it: the service's own process (default), whoever calls it (gateway, sidecar, client), or both. */
  readonly enforcedBy?: "server" | "caller" | "both";
  /** Default 20; aimd: 10. */
  readonly initial?: number;
  /** Default 20; vegas, aimd: 1. */
  readonly min?: number;
  /** Default 200; vegas: 1,000. */
  readonly max?: number;
  /** How often the limit is looked at (gradient2, default "1s"; vegas, aimd: "0s", at each call), or how far back is looked (bbr, default "10s"). */
  readonly window?: Duration;
  /** gradient2, vegas: 0..1, how much of a new estimate is taken over at once. Default 0.2; vegas: 1. */
  readonly smoothing?: number;
  /** gradient2: calls that may queue, default 4. */
  readonly queue?: number;
  /** gradient2: how much slower than usual is still usual, default 1.5 times. */
  readonly tolerance?: number;
  /** gradient2: windows over which is averaged what is usual, default 600. */
  readonly longWindow?: number;
  /** vegas: the latency without load is measured anew after so many times the limit's number of calls, default 30. */
  readonly probeMultiplier?: number;
  /** aimd: 0.5..1, what is left of the limit after a drop, default 0.9. */
  readonly backoff?: number;
  /** aimd: a call that takes longer counts as dropped, default "5s". */
  readonly timeout?: Duration;
  /** bbr: 0..1, busy enough to refuse, default 0.8. */
  readonly threshold?: number;
}
export type ConcurrencyAlgorithm = "gradient2" | "vegas" | "aimd" | "bbr";

export interface ConcurrencySettings {
  readonly algorithm: ConcurrencyAlgorithm;
  readonly enforcedBy: "server" | "caller" | "both";
  readonly initial: number;
  readonly min: number;
  readonly max: number;
  readonly windowMs: number;
  readonly smoothing: number;
  readonly queue: number;
  readonly tolerance: number;
  readonly longWindow: number;
  readonly probeMultiplier: number;
  readonly backoff: number;
  readonly timeoutMs: number;
  readonly threshold: number;
}

/** Every field counts for itself; without one there is no limit. */
export const concurrencyField: PolicyField<ConcurrencySpec, ConcurrencySettings | null> = {
  check: object(
    {
      algorithm: oneOf(["gradient2", "vegas", "aimd", "bbr", "off"]),
      enforcedBy: oneOf(["server", "caller", "both"]),
      initial: number(1, 100_000, true),
      min: number(1, 100_000, true),
      max: number(1, 100_000, true),
      window: duration(true),
      smoothing: number(0.001, 1, false),
      queue: number(0, 10_000, true),
      tolerance: number(1, 10, false),
      longWindow: number(10, 100_000, true),
      probeMultiplier: number(1, 10_000, true),
      backoff: number(0.5, 0.999, false),
      timeout: duration(false),
      threshold: number(0.01, 1, false),
    },
    [],
    (value, path, report) => {
      const spec = value as ConcurrencySpec;
      const algorithm = spec.algorithm ?? "gradient2";
      for (const [field, of] of Object.entries(FIELDS_OF)) {
        if (
          spec[field as keyof ConcurrencySpec] !== undefined &&
          spec.algorithm !== undefined &&
          !of.includes(algorithm)
        )
          report([...path, field], `is for ${of.join(" and ")}; the algorithm here is ${algorithm}`);
      }
      if (algorithm === "bbr" && spec.enforcedBy !== undefined && spec.enforcedBy !== "server")
        report(
          [...path, "enforcedBy"],
          '"bbr" goes by the load of its own process, and so holds at the server only; use gradient2 for callers',
        );
      if (spec.min !== undefined && spec.max !== undefined && spec.min > spec.max)
        report([...path, "min"], `is more than max, ${spec.max}`);
      if (algorithm === "bbr" && spec.window !== undefined && durationMs(spec.window) < MIN_BBR_WINDOW_MS)
        report([...path, "window"], "is too short for bbr; use at least 1s");
    },
  ),
  over: (under, spec) => ({ ...under, ...defined(spec) }),
  compile(spec) {
    if (spec === null || spec.algorithm === "off") return null;
    const algorithm = spec.algorithm ?? "gradient2";
    const usual = DEFAULTS[algorithm];
    const min = spec.min ?? Math.min(usual.min, spec.max ?? usual.min, spec.initial ?? usual.min);
    const max = Math.max(min, spec.max ?? Math.max(usual.max, spec.initial ?? 0));
    return {
      algorithm,
      enforcedBy: algorithm === "bbr" ? "server" : (spec.enforcedBy ?? "server"),
      initial: Math.min(max, Math.max(min, spec.initial ?? usual.initial)),
      min,
      max,
      windowMs: durationMs(spec.window ?? usual.window),
      smoothing: spec.smoothing ?? usual.smoothing,
      queue: spec.queue ?? 4,
      tolerance: spec.tolerance ?? 1.5,
      longWindow: spec.longWindow ?? 600,
      probeMultiplier: spec.probeMultiplier ?? 30,
      backoff: spec.backoff ?? 0.9,
      timeoutMs: durationMs(spec.timeout ?? "5s"),
      threshold: spec.threshold ?? 0.8,
    };
  },
};

const DEFAULTS = {
  gradient2: { initial: 20, min: 20, max: 200, smoothing: 0.2, window: "1s" },
  vegas: { initial: 20, min: 1, max: 1_000, smoothing: 1, window: "0s" },
  aimd: { initial: 10, min: 1, max: 200, smoothing: 1, window: "0s" },
  bbr: { initial: 20, min: 1, max: 100_000, smoothing: 1, window: "10s" },
} as const;

const ESTIMATES = ["gradient2", "vegas", "aimd"];
const FIELDS_OF: Readonly<Record<string, readonly string[]>> = {
  initial: ESTIMATES,
  min: ESTIMATES,
  max: ESTIMATES,
  smoothing: ["gradient2", "vegas"],
  queue: ["gradient2"],
  tolerance: ["gradient2"],
  longWindow: ["gradient2"],
  probeMultiplier: ["vegas"],
  backoff: ["aimd"],
  timeout: ["aimd"],
  threshold: ["bbr"],
};
/** A hundred buckets of which none is shorter than a turn of the loop under load. */
const MIN_BBR_WINDOW_MS = 10 * READING_MS;
