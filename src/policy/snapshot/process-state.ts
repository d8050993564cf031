import { kept } from "../../core/kept.ts";
import type { AdmissionSettings } from "../admission/admission-field.ts";
import { Shedding } from "../admission/admission-gate.ts";
import { LoadState } from "../admission/load-state.ts";
import { PressureSources } from "../admission/pressure.ts";
import { ServiceTimes } from "../admission/service-times.ts";
import { ShedLevel } from "../admission/shed-level.ts";
import type { AdaptiveState } from "../concurrency/adaptive-gate.ts";
import { createAdaptiveLimit } from "../concurrency/adaptive-limit.ts";
import type { ConcurrencySettings } from "../concurrency/concurrency-field.ts";

/** What policy knows of the process that it decides in. Kept across snapshots; written by shells. */
export class ProcessState {
  readonly load = new LoadState();
  readonly pressure = new PressureSources();
  /** Processes that enforce the same limits, this one included: the share that it keeps to when the shared limiter does not answer is one of so many. */
  peers = 1;
  /** What admission turned away, by reason and priority. */
  readonly shed = new Map<string, Float64Array>();

  readonly #adaptive = new Map<string, AdaptiveState>();
  readonly #shedding = new Map<string, Shedding>();
  readonly #levels = new Map<string, ShedLevel>();
  readonly #times = new Map<string, ServiceTimes>();

  /** Of calls under these settings, whatever service they are for. */
  shedding(settings: AdmissionSettings): Shedding {
    const { priority: _, priorities: _rules, deadline: _deadline, ...overload } = settings;
    return kept(this.#shedding, JSON.stringify(overload), MAX_KEPT, () => new Shedding(settings, this));
  }

  /** Of a service's calls, for pressure from elsewhere. */
  level(service: string): ShedLevel {
    return kept(this.#levels, service, MAX_KEPT, () => new ShedLevel());
  }

  /** How long calls of one method take at one place. */
  times(key: string): ServiceTimes {
    return kept(this.#times, key, MAX_KEPT, () => new ServiceTimes());
  }

  /** The adaptive limit of a service's calls, inbound or outbound, as one policy sets it; the same state as long as the settings are. */
  adaptive(name: string, inbound: boolean, source: string, settings: ConcurrencySettings): AdaptiveState {
    const key = `${name} ${inbound} ${source} ${JSON.stringify(settings)}`;
    return kept(this.#adaptive, key, MAX_KEPT, () => {
      const limit = createAdaptiveLimit(settings, this.load);
      const { algorithm, initial } = settings;
      return { name, source, algorithm, limit, current: initial, inFlight: 0, refused: 0 };
    });
  }

  get adaptiveLimits(): IterableIterator<AdaptiveState> {
    return this.#adaptive.values();
  }

  countShed(reason: string, priority: number): void {
    let counts = this.shed.get(reason);
    if (counts === undefined) this.shed.set(reason, (counts = new Float64Array(11)));
    counts[priority]++;
  }
}

/** What nobody uses any more stays behind until so much is there. */
const MAX_KEPT = 5_000;
