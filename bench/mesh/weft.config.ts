// Each service twice: behind weft's sidecar, and (NAME-e) behind a stock Envoy. The same policies and certificates hold for both.
import { defineSystem, type ServiceDescription, traffic } from "weftmesh/system";

const counter: ServiceDescription = { run: ["node", "../../examples/counter/server.ts"] };
const web: ServiceDescription = { run: ["node", "web.mjs"] };
/** Its sidecar carries the load generator's calls. */
const caller: ServiceDescription = { run: ["node", "caller.mjs"] };
/** Sees only what it needs, so that both hold the same. */
const services = { counter, web, caller };

export default defineSystem({
  name: "bench",
  mtls: "strict",
  gateway: false,
  services: Object.fromEntries(
    Object.entries(services).flatMap(([name, service]) => [
      [name, { ...service, sidecar: true }],
      [`${name}-e`, { ...service, sidecar: "envoy" }],
    ]),
  ),
  policies: [traffic("web").mtls("off"), traffic("web-e").mtls("off")],
});
