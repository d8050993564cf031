import { grpcurlCases } from "./grpcurl.ts";
import { hostileCases } from "./hostile.ts";
import type { Suite } from "./suite.ts";
import { withSystem } from "./system.ts";

/** What holds for the counter holds through the gateway: grpcurl with reflection, and malformed input. */
export const gateway: Suite = {
  name: "gateway",
  run: () =>
    withSystem("conformance/through", async (system) => {
      const pid = (await system.ps()).instances.find((one) => one.service === "gateway")?.pid;
      if (pid === undefined) throw new Error("weft ps does not show the gateway");
      return [...(await grpcurlCases(system.gateway.port)), ...(await hostileCases(system.gateway.port, pid))];
    }),
};
