// Four services in four languages in one mesh. Each is reached, and reaches others, through a proxy beside it; none of them knows.
import { authorization, defineSystem, route, type ServiceDescription, traffic } from "weftmesh/system";
import { COMMANDS, HAS_ENVOY, MISSING } from "./languages.ts";

for (const service of MISSING) console.error(`${service} is left out: ${COMMANDS[service]} is not installed`);
if (!HAS_ENVOY) console.error("there is no envoy (WEFT_ENVOY names one): pricing gets weft's own sidecar");

const all: Record<string, ServiceDescription> = {
  // Python, in two versions: a canary.
  catalog: {
    run: ["python3", "python/catalog.py"],
    versions: { v1: { replicas: 2 }, v2: { replicas: 2 } },
    sidecar: true,
  },
  // Go, behind a stock Envoy. One call in eight fails on purpose.
  pricing: {
    run: ["sh", "-c", "cd go && go build -o ../.weft/$WEFT_INSTANCE . && exec ../.weft/$WEFT_INSTANCE"],
    replicas: 2,
    // The first build of all, of what Go's own library is made of too, takes a minute where both have two processors.
    readyTimeoutMs: 300_000,
    sidecar: HAS_ENVOY ? "envoy" : true,
  },
  // Java. Orders alone may call it.
  stock: { run: ["java", "java/Stock.java"], sidecar: true },
  // TypeScript, by gRPC and REST.
  orders: { run: "typescript/orders.ts", sidecar: true },
};
const services = Object.fromEntries(Object.entries(all).filter(([service]) => !MISSING.includes(service)));
const names = Object.keys(services);

export default defineSystem({
  name: "polyglot",
  mtls: "strict",
  gateway: { listen: 8080 },
  services,
  routes: [
    ...names.map((service) => route(`/${service}`).rewrite("/").to(service)),
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "canary" },
      spec: {
        parentRefs: [{ kind: "Service", name: "catalog" }],
        rules: [
          {
            backendRefs: [
              { name: "catalog@v1", weight: 80 },
              { name: "catalog@v2", weight: 20 },
            ],
          },
        ],
      },
    },
  ],
  policies: [
    traffic("pricing").retry(3, { backoff: { base: "10ms" } }),
    authorization("stock")
      .allow({ peers: ["spiffe://polyglot/orders", "spiffe://polyglot/gateway"] }) // the gateway: for check.ts
      .at("server"),
    // Every service keeps one path to orders: its own proxy sees to it, whichever that is.
    ...names.map((service) =>
      authorization(service)
        .named(`${service}-guarded`)
        .deny({
          paths: ["/guarded"],
          peers: names.filter((name) => name !== "orders").map((name) => `spiffe://polyglot/${name}`),
        })
        .at("server"),
    ),
  ],
  try: ["GET /orders/hello", "GET /catalog/call?to=pricing&path=/flaky&count=10"],
});
