import { openKubernetesRegistry } from "../../src/drivers/kubernetes/kubernetes-registry.ts";
import { registryFaults } from "../registry-faults.ts";
import { KubernetesServer } from "./server.ts";

let server: KubernetesServer;

registryFaults("kubernetes", {
  server: async () => {
    server = await KubernetesServer.start();
    await server.namespace("faults");
    return server;
  },
  url: (address) => server.url("faults", address),
  open: openKubernetesRegistry,
  kept: async (_, system) => {
    const { body } = await server.call("GET", "/apis/discovery.k8s.io/v1/namespaces/faults/endpointslices");
    return (body.items as Slice[])
      .filter(({ metadata }) => metadata.labels["weftmesh.dev/system"] === system)
      .map(({ metadata }) => JSON.parse(metadata.annotations["weftmesh.dev/entry"]).endpoint.id);
  },
});

interface Slice {
  readonly metadata: { labels: Record<string, string>; annotations: Record<string, string> };
}
