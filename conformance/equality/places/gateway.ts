import type { Endpoint } from "../../../src/core/endpoint.ts";
import { seededRandom } from "../../../src/core/random.ts";
import { createPolicyRuntime } from "../../../src/policy/snapshot/create-runtime.ts";
import { startGateway } from "../../../src/proxy/gateway.ts";
import { METHODS, unknownAs, withBase, withFallThrough } from "../base.ts";
import type { Place } from "../model.ts";
import { RawCaller } from "../raw-call.ts";

/** Our gateway in this process, called over sockets; its policy is set by hand, so that a revision is in force at once. What others are held against. */
export async function openGateway(endpoints: readonly Endpoint[], seed: number): Promise<Place> {
  const policy = createPolicyRuntime({ random: seededRandom(seed) });
  const gateway = await startGateway({ listen: {}, admin: null, policy, accessLog: "off", onProblem() {} });
  const caller = new RawCaller(gateway.port);
  let revision = 0;
  return {
    name: "gateway",
    planes: ["gateway"],
    tellsReasons: true,
    takes: () => true,
    async apply(scope, resources) {
      revision++;
      const changed = unknownAs(revision, endpoints);
      policy.applyEndpoints({ endpointVersion: revision, full: true, changed, removed: [] });
      policy.applyResources(revision, withBase(scope, withFallThrough(scope, resources)), METHODS);
    },
    call: (_scope, request, id) => caller.call(request, id),
    async close() {
      caller.close();
      await gateway.stop(0);
    },
  };
}
