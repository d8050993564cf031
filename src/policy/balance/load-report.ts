/**
 * What a server says of its load, piggybacked on a response: ORCA's OrcaLoadReport (xds.data.orca.v3; gRFC A51) in its text form, as Envoy reads
 * it from the header or trailer `endpoint-load-metrics`:
 *
 *     TEXT cpu_utilization=0.31,mem_utilization=0.5,rps_fractional=212,eps=0.4,named_metrics.rif=4,named_metrics.latency_ms=12.5
 *
 * Numbers; -1 for what is not said. Utilisations lie in 0..1, and may exceed 1 where a server's idea of full is softer.
 */
export interface LoadReport {
  /** Requests in flight at the server, of all its callers. */
  inFlight: number;
  latencyMs: number;
  qps: number;
  /** Errors a second. */
  eps: number;
  cpu: number;
  memory: number;
  eventLoop: number;
  application: number;
}

export const LOAD_REPORT_FIELD = "endpoint-load-metrics";
