import type { Endpoint } from "../../../core/endpoint.ts";
import type { Resource } from "../../../policy/resource/resources.ts";
import type { Document } from "./document.ts";
import { MeshModel } from "./mesh-model.ts";
import { MeshView, nodeDocuments } from "./mesh-view.ts";

export type MeshDocument = readonly [typeUrl: string, name: string, document: Document];

/** For tests: all that a node of a role would be told of these resources, in a system of two services. */
export function meshDocuments(resources: readonly Resource[], role: "gateway" | "sidecar" | "client"): MeshDocument[] {
  const model = new MeshModel({
    system: "shop",
    revision: 1,
    resources,
    methods: ["Get", "Put"].map((name) => ({
      path: `/p.Products/${name}`,
      service: "products",
      idempotent: name === "Get",
      clientStreaming: false,
      serverStreaming: false,
    })),
    services: ["products", "standby"],
    endpointsOf: (service) => (service === "products" ? ENDPOINTS : []),
  });
  const stamp = { revision: 1, token: "t" };
  const view = new MeshView(model, { role: role === "sidecar" ? "outbound" : role, proven: true, zone: "z1" }, stamp);
  const documents: MeshDocument[] = [];
  for (const [typeUrl, named] of view.fixed)
    for (const [name, document] of named) documents.push([typeUrl, name, document]);
  const seen = new Set<string>();
  for (const one of view.endpointDocuments(null)) {
    const key = `${one[0]} ${one[1]}`;
    if (!seen.has(key)) documents.push(one);
    seen.add(key);
  }
  const place = {
    service: "products",
    role,
    host: "127.0.0.1",
    outboundHost: "127.0.0.1",
    inbound: 10_001,
    outbound: 10_002,
    app: "127.0.0.1:3",
    http2App: false,
  };
  documents.push(...nodeDocuments(view, model, place, stamp));
  return documents;
}

const ENDPOINTS = ["z1", "z2"].map(
  (zone, i): Endpoint => ({
    id: `p${i}`,
    service: "products",
    host: "127.0.0.1",
    port: 9_000 + i,
    version: `v${i + 1}`,
    zone,
    weight: 1,
    protocol: "h2c",
    health: "healthy",
    metadata: { level: String(i), tier: "gold" },
    ...(i === 0 ? { identity: "spiffe://shop/products" } : {}),
  }),
);
