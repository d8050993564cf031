import { grpcurlCases } from "./grpcurl.ts";
import { hostileBytes, hostileCases, rest } from "./hostile.ts";
import type { Case, Suite } from "./suite.ts";
import { withSystem } from "./system.ts";

/** What holds for the counter holds through the gateway: grpcurl with reflection, and malformed input; which the other ports of a system bear as well. */
export const gateway: Suite = {
  name: "gateway",
  tools: ["grpcurl"],
  run: () =>
    withSystem("conformance/through", async (system) => {
      const { instances, control, gatewayAdmin } = await system.ps();
      const pid = (service: string) => instances.find((one) => one.service === service)?.pid ?? 0;
      const cases = [
        ...(await grpcurlCases(system.gateway.port)),
        ...(await hostileCases(system.gateway.port, pid("gateway"))),
      ];
      const others = {
        "control plane": [control, pid("control"), "/readyz"],
        "gateway's admin": [gatewayAdmin, pid("gateway"), "/metrics"],
      } as const;
      for (const [name, [address, process, path]] of Object.entries(others)) {
        const port = Number(/:(\d+)\/?$/.exec(address)?.[1]);
        const found = await hostileBytes(port, process, async () => (await rest(port, { path })).status === 200);
        cases.push(...found.map((one): Case => ({ ...one, name: `${name}: ${one.name}` })));
      }
      return cases;
    }),
};
