import type { PolicyRuntime } from "../policy/runtime.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** What a data plane shows of itself. */
export interface ShownProcess {
  readonly policy: PolicyRuntime;
  inFlight(): number;
  /** Open connections of callers. */
  connections(): number;
}

/** Gauges that every data plane has, whatever its role. */
export function processGauges(metrics: Metrics, { policy, inFlight, connections }: ShownProcess): void {
  const calls = metrics.gauge("weft_calls_in_flight", "Calls that have begun and not ended.").with();
  const open = metrics.gauge("weft_downstream_connections", "Open connections of callers.").with();
  const revision = metrics.gauge("weft_policy_revision", "Revision of routes and policies in use.").with();
  const endpointVersion = metrics.gauge("weft_endpoint_version", "Version of the endpoints in use.").with();
  metrics.onCollect(() => {
    calls.set(inFlight());
    open.set(connections());
    revision.set(policy.revision);
    endpointVersion.set(policy.endpointVersion);
  });
}
