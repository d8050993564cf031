import { join } from "node:path";
import { authorization, defineSystem, traffic } from "weftmesh/system";

/** Programs that are not weft's, each behind weft's sidecar. The suite says where the tools are, and where programs leave what they are told. */
const { SUITE_DIR = "", SUITE_PYTHON = "python3", SUITE_GRPC_PEER = "grpc-peer" } = process.env;
const python = (file: string) => [SUITE_PYTHON, join(import.meta.dirname, file)];
const peer = (version: string) => [SUITE_GRPC_PEER, "server", "127.0.0.1:$PORT", version];
const env = { SUITE_DIR };
const service = (name: string) => ({ group: "", kind: "Service", name }) as const;

export default defineSystem({
  name: "outsiders",
  gateway: { listen: 0 },
  services: {
    shop: {
      run: python("shop.py"),
      versions: { v1: { replicas: 2 }, v2: {} },
      sidecar: true,
      env,
    },
    greeter: {
      run: peer("v1"),
      versions: { v1: { run: peer("v1") }, v2: { run: peer("v2") } },
      sidecar: true,
    },
    chat: { run: python("chat.py"), sidecar: true },
    web: { run: python("caller.py"), sidecar: { egress: "mesh" }, env },
    stranger: { run: python("caller.py"), sidecar: true, env },
  },
  policies: [
    traffic("shop")
      .timeout("2s")
      .retry(2, { on: ["503", "connect-failure", "reset", "refused"] }),
    traffic("greeter").retry(3, { on: ["unavailable"] }),
    authorization("shop").deny({ paths: ["/private"], peers: ["spiffe://outsiders/stranger"] }),
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "quarters" },
      spec: {
        parentRefs: [service("shop")],
        rules: [
          {
            matches: [{ path: { type: "PathPrefix", value: "/split" } }],
            backendRefs: [
              { name: "shop@v1", weight: 3 },
              { name: "shop@v2", weight: 1 },
            ],
          },
        ],
      },
    },
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "GRPCRoute",
      metadata: { name: "halves" },
      spec: {
        parentRefs: [service("greeter")],
        rules: [
          {
            backendRefs: [
              { name: "greeter@v1", weight: 1 },
              { name: "greeter@v2", weight: 1 },
            ],
          },
        ],
      },
    },
  ],
});
