import { controlPlanes } from "../control-planes.ts";
import { KubernetesServer } from "./server.ts";

let server: KubernetesServer;

controlPlanes("Kubernetes", {
  server: async () => {
    server = await KubernetesServer.start();
    await server.namespace("shop");
    return server;
  },
  url: () => server.url("shop"),
});
