import type { Endpoint } from "../../../src/core/endpoint.ts";
import { seededRandom } from "../../../src/core/random.ts";
import type { Resource } from "../../../src/policy/resource/resources.ts";
import { createPolicyRuntime } from "../../../src/policy/snapshot/create-runtime.ts";
import { startSidecar } from "../../../src/proxy/sidecar/sidecar.ts";
import { METHODS, unknownAs, withBase } from "../base.ts";
import type { Place, Scope } from "../model.ts";
import { RawCaller } from "../raw-call.ts";

/** The outbound side of our sidecar in this process, beside an application that calls "web" and "rpc" by their names. */
export async function openOutbound(endpoints: readonly Endpoint[], seed: number): Promise<Place> {
  const sidecar = await start("caller", endpoints, seed);
  const caller = new RawCaller(sidecar.outbound.port);
  return {
    name: "sidecar",
    planes: ["sidecar"],
    tellsReasons: true,
    takes: (scope) => scope === "web" || scope === "rpc",
    apply: async (scope, resources) => sidecar.apply(scope, resources),
    call: (_scope, request, id) => caller.call(request, id),
    async close() {
      caller.close();
      await sidecar.stop();
    },
  };
}

/** The inbound sides of two sidecars, beside an instance of "web" and one of "rpc". */
export async function openInbound(endpoints: readonly Endpoint[], seed: number): Promise<Place> {
  const sidecars = { http: await start("web", endpoints, seed), grpc: await start("rpc", endpoints, seed) };
  const callers = {
    http: new RawCaller(sidecars.http.inbound.port),
    grpc: new RawCaller(sidecars.grpc.inbound.port),
  };
  return {
    name: "inbound",
    planes: ["server"],
    tellsReasons: true,
    takes: (scope: Scope) => scope === "in",
    async apply(scope, resources) {
      for (const sidecar of Object.values(sidecars)) sidecar.apply(scope, resources);
    },
    call: (_scope, request, id) => callers[request.kind].call(request, id),
    async close() {
      for (const caller of Object.values(callers)) caller.close();
      for (const sidecar of Object.values(sidecars)) await sidecar.stop();
    },
  };
}

async function start(service: string, endpoints: readonly Endpoint[], seed: number) {
  const policy = createPolicyRuntime({ random: seededRandom(seed) });
  const app = endpoints.find((endpoint) => endpoint.service === service) ?? endpoints[0];
  const appProtocol = app.protocol === "h2c" ? ("h2c" as const) : ("http1" as const);
  const quiet = { accessLog: "off", onProblem() {}, admin: null } as const;
  const sidecar = await startSidecar({ service, app, appProtocol, policy, ...quiet });
  let revision = 0;
  return {
    inbound: sidecar.inbound,
    outbound: sidecar.outbound,
    apply(scope: Scope, resources: readonly Resource[]): void {
      revision++;
      const changed = unknownAs(revision, endpoints);
      policy.applyEndpoints({ endpointVersion: revision, full: true, changed, removed: [] });
      policy.applyResources(revision, withBase(scope, resources), METHODS);
    },
    stop: () => sidecar.stop(0),
  };
}
