import type { HealthCheck } from "./health-check.ts";

/** What one probe found. "refused": nobody listens there, which needs no second opinion. */
export type ProbeOutcome = "passed" | "failed" | "refused";

/**
 * One endpoint's health by its probes, as a machine: outcomes in, changes of verdict out.
 *
 *              healthyThreshold passes
 *     unhealthy ---------------------> healthy
 *         ^ ^--- unhealthyThreshold failures, or 1 refused ---'
 *         '----- first probe of a new registration failed (`onProbation`)
 */
export class HealthMachine {
  verdict: "healthy" | "unhealthy" = "healthy";
  #run = 0;
  #probation = true;

  /** A new registration: its owner says that it is there, so it is believed until its first probe. */
  registered(): void {
    this.verdict = "healthy";
    this.#run = 0;
    this.#probation = true;
  }

  /** The new verdict, null when it stays. */
  probed(outcome: ProbeOutcome, check: HealthCheck): "healthy" | "unhealthy" | null {
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
