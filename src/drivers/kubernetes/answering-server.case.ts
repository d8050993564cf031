import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { ClusterAccess } from "./cluster-access.ts";

/** An API server on loopback, in plain text, that answers as a test says; its namespace is "shop". */
export async function answeringServer(answer: RequestListener): Promise<{ access: ClusterAccess; close(): void }> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  return {
    access: { host: "127.0.0.1", port, basePath: "", tls: null, token: null, namespace: "shop" },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
