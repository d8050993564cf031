import { LoadReportingService } from "../../contract/gen/envoy/service/load_stats/v3/lrs.ts";
import type { Clock } from "../../core/clock.ts";
import { type ServiceDefinition, service } from "../../service/definition.ts";
import { parseNode } from "./node.ts";
import type { XdsStatus } from "./status.ts";

/** LRS: data planes are asked for the load of all their clusters, every `intervalMs`. */
export function createLoadReportingService(
  status: XdsStatus,
  clock: Clock,
  intervalMs = 2_000,
): ServiceDefinition<typeof LoadReportingService> {
  const loadReportingInterval = { seconds: BigInt(Math.floor(intervalMs / 1_000)), nanos: (intervalMs % 1_000) * 1e6 };
  return service(LoadReportingService, {
    async *streamLoadStats(requests, call) {
      let node = "";
      for await (const request of requests) {
        if (node === "") {
          node = parseNode(request.node, call.peer.address).id;
          yield { sendAllClusters: true, loadReportingInterval };
        }
        status.report(node, request.clusterStats, clock.now());
      }
    },
  });
}
