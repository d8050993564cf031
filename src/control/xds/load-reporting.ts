import { LoadReportingService } from "../../contract/gen/envoy/service/load_stats/v3/lrs.ts";
import { type ServiceDefinition, service } from "../../service/definition.ts";
import type { ServerCall } from "../../service/server-call.ts";
import type { AdsShared } from "./ads-stream.ts";
import { parseNode } from "./node.ts";

/**
 * LRS: data planes are asked for the load of all their clusters, every `intervalMs`. Of a node that is attached with an identity only who proves that one may tell.
 */
export function createLoadReportingService(
  { status, clock, authenticate }: Pick<AdsShared, "status" | "clock" | "authenticate">,
  tokenOf: (call: ServerCall) => string | null,
  intervalMs = 2_000,
): ServiceDefinition<typeof LoadReportingService> {
  const loadReportingInterval = { seconds: BigInt(Math.floor(intervalMs / 1_000)), nanos: (intervalMs % 1_000) * 1e6 };
  return service(LoadReportingService, {
    async *streamLoadStats(requests, call) {
      const begun = Promise.withResolvers<boolean>();
      const over = Promise.withResolvers<void>();
      const read = async () => {
        let node = "";
        for await (const { node: said, clusterStats } of requests) {
          if (node === "") {
            const named = parseNode(said, call.peer.address);
            status.assertNobodyElse(named.id, await authenticate(tokenOf(call), named));
            node = named.id;
            begun.resolve(true);
          }
          status.report(node, clusterStats, clock.now());
        }
      };
      read().then(over.resolve, over.reject);
      over.promise.then(() => begun.resolve(false), begun.reject);
      const forget = status.onEnd(over.resolve);
      try {
        if (!(await begun.promise)) return;
        yield { sendAllClusters: true, loadReportingInterval };
        await over.promise;
      } finally {
        forget();
      }
    },
  });
}
