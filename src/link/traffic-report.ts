import type { EdgeSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import { LATENCY_BUCKETS } from "../core/latency-buckets.ts";
import type { EdgeCounts } from "../policy/decision/edge-counts.ts";

/** Which edges of a process have not been told yet on one stream: those whose count of calls is another than when they were told. */
export class TrafficReport {
  readonly #edges: EdgeCounts;
  readonly #told: number[] = [];

  constructor(edges: EdgeCounts) {
    this.#edges = edges;
  }

  /** What is new, taken as told. */
  take(): MessageInitShape<typeof EdgeSchema>[] {
    const { services, versions, calls, errors, secure, attempts, latency } = this.#edges;
    const changed: MessageInitShape<typeof EdgeSchema>[] = [];
    for (let edge = 0; edge < services.length; edge++) {
      if (calls[edge] === (this.#told[edge] ?? 0)) continue;
      this.#told[edge] = calls[edge];
      const buckets: number[] = [];
      const counts: bigint[] = [];
      for (let bucket = 0, at = edge * LATENCY_BUCKETS; bucket < LATENCY_BUCKETS; bucket++, at++) {
        if (latency[at] === 0) continue;
        buckets.push(bucket);
        counts.push(BigInt(latency[at]));
      }
      changed.push({
        service: services[edge],
        version: versions[edge],
        calls: BigInt(calls[edge]),
        errors: BigInt(errors[edge]),
        secure: BigInt(secure[edge]),
        attempts: BigInt(attempts[edge]),
        latency: { buckets, counts },
      });
    }
    return changed;
  }
}
