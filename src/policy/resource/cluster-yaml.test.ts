import assert from "node:assert/strict";
import { test } from "node:test";
import { readResourceDocuments } from "./read-resource-documents.ts";
import { parseResources } from "./validate.ts";

/** What `kubectl get httproute,grpcroute -o yaml` prints. */
const PRINTED = `apiVersion: v1
items:
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"products"}}
    creationTimestamp: "2026-11-01T10:00:00Z"
    finalizers:
    - example.com/guard
    generation: 3
    labels:
      app: shop
    managedFields:
    - apiVersion: gateway.networking.k8s.io/v1
      fieldsType: FieldsV1
      fieldsV1:
        f:metadata:
          f:annotations: {}
        f:spec: {}
      manager: kubectl-client-side-apply
      operation: Update
      time: "2026-11-01T10:00:00Z"
    name: products
    namespace: shop
    ownerReferences:
    - apiVersion: apps/v1
      kind: Deployment
      name: products
      uid: 2d0f2f8e-8a34-4b0e-9f3a-1c2d3e4f5a6b
    resourceVersion: "48213"
    uid: 0b7a1a34-7f61-4e0a-8b4e-3a2a4f8b1c11
  spec:
    hostnames:
    - shop.example.com
    parentRefs:
    - group: gateway.networking.k8s.io
      kind: Gateway
      name: public
    rules:
    - backendRefs:
      - group: ""
        kind: Service
        name: products
        port: 80
        weight: 1
      matches:
      - path:
          type: PathPrefix
          value: /v1/products
      timeouts:
        request: 10s
  status:
    parents:
    - conditions:
      - lastTransitionTime: "2026-11-01T10:00:05Z"
        message: Route is accepted
        observedGeneration: 3
        reason: Accepted
        status: "True"
        type: Accepted
      controllerName: example.com/gateway-controller
      parentRef:
        group: gateway.networking.k8s.io
        kind: Gateway
        name: public
- apiVersion: gateway.networking.k8s.io/v1
  kind: GRPCRoute
  metadata:
    creationTimestamp: "2026-11-01T10:00:00Z"
    generation: 1
    name: orders
    namespace: shop
    resourceVersion: "48300"
    uid: 6b0ed7a4-6f4f-4a64-a1a5-08d1f2b6d0aa
  spec:
    parentRefs:
    - group: gateway.networking.k8s.io
      kind: Gateway
      name: public
    rules:
    - backendRefs:
      - group: ""
        kind: Service
        name: orders
        port: 9000
        weight: 1
      matches:
      - method:
          method: PlaceOrder
          service: orders.v1.Orders
          type: Exact
  status:
    parents: []
kind: List
metadata:
  resourceVersion: ""
`;

test("routes are accepted as kubectl prints them, and what has no effect is told", () => {
  const { resources, warnings } = parseResources(readResourceDocuments(PRINTED, "routes.yaml"));
  assert.deepEqual(
    resources.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    ["HTTPRoute products", "GRPCRoute orders"],
  );
  for (const { message } of warnings) assert.match(message, /has no effect/);
  assert.ok(!warnings.some(({ message }) => /status|managedFields|uid/.test(message)));
});
