import { createDirectClient } from "../../src/call/direct.ts";
import { AggregatedDiscoveryService } from "../../src/contract/gen/envoy/service/discovery/v3/ads.ts";
import type { DeltaDiscoveryRequestSchema } from "../../src/contract/gen/envoy/service/discovery/v3/discovery.ts";
import type { MessageInitShape } from "../../src/contract/runtime.ts";
import { CLUSTER, ENDPOINTS, LISTENER, ROUTE } from "../../src/control/xds/types.ts";
import { now, SERVICES, type Told, XDS_PLANES } from "./system.ts";

type Request = MessageInitShape<typeof DeltaDiscoveryRequestSchema>;

/** Data planes that ask as Envoys do: sidecars with all clusters, the endpoints of each, a listener and its routes. They tell the revision of the routes that they get. */
const [address] = process.argv.slice(2);
const tell = (told: Told): void => void process.send?.(told);
const closing: (() => Promise<unknown>)[] = [];
process.on("message", (asked) => {
  if (asked === "end") void Promise.all(closing.map((close) => close())).then(() => process.exit(0));
});
for (let plane = 0; plane < XDS_PLANES; plane++) void attach(plane);

async function attach(plane: number): Promise<void> {
  const { client, close } = createDirectClient(AggregatedDiscoveryService, address);
  const queue: Request[] = [];
  let wake: () => void = () => {};
  let closed = false;
  closing.push(() => {
    closed = true;
    wake();
    return close();
  });
  const send = (request: Request): void => {
    queue.push(request);
    wake();
  };
  async function* requests(): AsyncGenerator<Request> {
    while (!closed) {
      const request = queue.shift();
      if (request !== undefined) yield request;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const metadata = { weft: { role: "sidecar", outbound: 15_001 } };
  send({ node: { id: `plane-${plane}`, cluster: "service-0", metadata }, typeUrl: CLUSTER });
  send({ typeUrl: LISTENER });
  const have = new Set<string>();
  try {
    for await (const { typeUrl, nonce, resources, systemVersionInfo } of client.deltaAggregatedResources(requests())) {
      send({ typeUrl, responseNonce: nonce });
      const names = resources.map(({ name }) => name);
      const revision = Number(systemVersionInfo.split(".")[0]);
      if (typeUrl === CLUSTER) send({ typeUrl: ENDPOINTS, resourceNamesSubscribe: names });
      else if (typeUrl === LISTENER) send({ typeUrl: ROUTE, resourceNamesSubscribe: ["outbound"] });
      else if (typeUrl === ROUTE) tell({ kind: "revision", plane: plane, value: revision, at: now() });
      else if (have.size < SERVICES) {
        for (const name of names) have.add(name);
        if (have.size >= SERVICES) tell({ kind: "ready", plane, value: SERVICES, at: now() });
      }
    }
  } catch (error) {
    if (!closed) throw error;
  }
}
