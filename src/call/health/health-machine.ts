import type { HealthCheck } from "./health-check.ts";

/**
 * What one probe found. "refused": nobody listens there, which needs no second opinion. "unknown": the probe could not be made for want of
 * something on this side (descriptors, ports), which says nothing about the endpoint.
 */
export type ProbeOutcome = "passed" | "failed" | "refused" | "unknown";

/**
 * One endpoint's health by its probes, as a machine: outcomes in, changes of verdict out.
 *
 *              healthyThreshold passes
 *     unhealthy ---------------------> healthy
 *         ^ ^--- unhealthyThreshold failures, or 1 refused ---'
 *         '----- first probe failed after it was registered again while unhealthy
 */
export class HealthMachine {
  verdict: "healthy" | "unhealthy" = "healthy";
  #run = 0;
  #probation = false;

  /** Registered again while it was unhealthy: its owner says that it is there, so it is believed until the next probe. */
  registered(): void {
    this.verdict = "healthy";
    this.#run = 0;
    this.#probation = true;
  }

  /** The new verdict, null when it stays. */
  probed(outcome: ProbeOutcome, check: HealthCheck): "healthy" | "unhealthy" | null {
    if (outcome === "unknown") return null;
    const passed = outcome === "passed";
    const probation = this.#probation;
    this.#probation = false;
    if (passed === (this.verdict === "healthy")) {
      this.#run = 0;
      return null;
    }
    this.#run++;
    const needed = passed ? check.healthyThreshold : outcome === "refused" || probation ? 1 : check.unhealthyThreshold;
    if (this.#run < needed) return null;
    this.#run = 0;
    this.verdict = passed ? "healthy" : "unhealthy";
    return this.verdict;
  }
}
