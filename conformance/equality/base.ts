import type { Endpoint } from "../../src/core/endpoint.ts";
import {
  GATEWAY_API,
  type HTTPRoute,
  type Resource,
  type TrafficPolicy,
  WEFT_API,
} from "../../src/policy/resource/resources.ts";
import type { MethodInfo } from "../../src/policy/runtime.ts";
import { Trial } from "../gen/weft/test/v1/trial.ts";
import type { Scope } from "./model.ts";

/** What the contract of "rpc" says of its methods. */
export const METHODS: readonly MethodInfo[] = Trial.methods.map((method) => ({
  path: `/${Trial.typeName}/${method.name}`,
  service: "rpc",
  idempotent: method.idempotency !== undefined && method.idempotency !== 0,
  clientStreaming: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
  serverStreaming: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
}));

/**
 * What holds in every system: state that calls leave behind (breakers, outlier detection, retry budgets) is off or far away, so that a call's fate depends on the
 * call alone and each can be compared; what those do is tested where time is virtual.
 */
const STEADY: TrafficPolicy = {
  apiVersion: WEFT_API,
  kind: "TrafficPolicy",
  metadata: { name: "steady" },
  spec: {
    targetRefs: [{ kind: "System" }],
    timeout: "1s",
    breaker: { enabled: false },
    retry: { backoff: { base: "1ms", max: "5ms" }, budget: { ratio: 1, minPerSecond: 10_000 } },
    balancer: { kind: "round-robin" },
  },
};

export function withBase(scope: Scope, resources: readonly Resource[]): Resource[] {
  return scope === "in" ? [STEADY, ONCE, ...resources] : [STEADY, ...resources];
}

/** Endpoints that nothing is known of yet, whatever calls have seen before. */
export function unknownAs(turn: number, endpoints: readonly Endpoint[]): Endpoint[] {
  return endpoints.map((endpoint) => ({ ...endpoint, id: `${endpoint.id}-${turn}` }));
}

/** What has arrived is not sent again; a gateway that stands for such a place is told so. */
const ONCE: TrafficPolicy = {
  apiVersion: WEFT_API,
  kind: "TrafficPolicy",
  metadata: { name: "once" },
  spec: { targetRefs: [{ kind: "Gateway" }], timeout: "0s", retry: { attempts: 0 } },
};

/** For gateways that are held against places that know whom a call is for: what no route takes goes there, as it does at those. */
export function withFallThrough(scope: Scope, resources: readonly Resource[]): Resource[] {
  if (scope === "edge") return [...resources];
  const to = (name: string, prefix: string): HTTPRoute => ({
    apiVersion: GATEWAY_API,
    kind: "HTTPRoute",
    metadata: { name: `to-${name}` },
    spec: { rules: [{ matches: [{ path: { value: prefix } }], backendRefs: [{ name }] }] },
  });
  if (scope === "in") return [...resources, to("rpc", `/${Trial.typeName}`), to("web", "/")];
  return [...resources, to(scope, "/")];
}
