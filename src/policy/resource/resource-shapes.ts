import { rateLimitSpec } from "../limit/rate-limit-shape.ts";
import { objectiveSpec } from "../objective/objective-resource.ts";
import { grpcRouteSpec, httpRouteSpec } from "../route/route-shapes.ts";
import { sessionRouteSpec, tlsRouteSpec } from "../route/session-route-shapes.ts";
import { authenticationSpec } from "../security/authentication-shape.ts";
import { authorizationSpec } from "../security/authorization-shape.ts";
import { trafficPolicySpec } from "../snapshot/policy-fields.ts";
import { NAME } from "./common-shapes.ts";
import { GATEWAY_API, type ResourceKind, WEFT_API } from "./resources.ts";
import { anything, type Check, object, oneOf, text } from "./shape.ts";

const metadata = object(
  {
    name: NAME,
    namespace: text(),
    labels: anything,
    annotations: anything,
    // What a cluster's API server adds to an object's own fields.
    uid: anything,
    resourceVersion: anything,
    generation: anything,
    creationTimestamp: text(),
    managedFields: anything,
    ownerReferences: anything,
    finalizers: anything,
  },
  ["name"],
);

function resource(api: string | readonly string[], kind: string, spec: Check): Check {
  return object(
    { apiVersion: oneOf(typeof api === "string" ? [api] : api), kind: oneOf([kind]), metadata, spec, status: anything },
    ["apiVersion", "kind", "metadata", "spec"],
  );
}

const SESSION_ROUTES = [GATEWAY_API, `${GATEWAY_API}alpha2`, `${GATEWAY_API}alpha3`];

/** How each kind must look. */
export const RESOURCE_SHAPES: Readonly<Record<ResourceKind, Check>> = {
  HTTPRoute: resource(GATEWAY_API, "HTTPRoute", httpRouteSpec),
  GRPCRoute: resource(GATEWAY_API, "GRPCRoute", grpcRouteSpec),
  TCPRoute: resource(SESSION_ROUTES, "TCPRoute", sessionRouteSpec),
  UDPRoute: resource(SESSION_ROUTES, "UDPRoute", sessionRouteSpec),
  TLSRoute: resource(SESSION_ROUTES, "TLSRoute", tlsRouteSpec),
  TrafficPolicy: resource(WEFT_API, "TrafficPolicy", trafficPolicySpec),
  RateLimit: resource(WEFT_API, "RateLimit", rateLimitSpec),
  Authentication: resource(WEFT_API, "Authentication", authenticationSpec),
  Authorization: resource(WEFT_API, "Authorization", authorizationSpec),
  Objective: resource(WEFT_API, "Objective", objectiveSpec),
};
