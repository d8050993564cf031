import type { DataPlane } from "../../contract/gen/weft/control/v1/mesh.ts";
import {
  Peers as PeersContract,
  type SeeMeshResponse,
  type SeeMeshResponseSchema,
} from "../../contract/gen/weft/control/v1/peers.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import { LATENCY_BUCKETS } from "../../core/latency-buckets.ts";
import { type ServiceDefinition, service } from "../../service/definition.ts";
import type { Hub } from "../hub.ts";
import type { DataPlaneKind, DataPlaneState } from "../mesh/data-plane.ts";
import { deliveryOf } from "../mesh/delivery.ts";
import { meshPartOf, planeMessage, type SeenMeshPart } from "../mesh/topology.ts";
import { settingsDelivery } from "../settings/settings-delivery.ts";

/** What this control plane tells the others of its own processes. Who else asks is refused before (access-control.ts). */
export function createPeersService(hub: Hub, reaches: () => Promise<boolean>): ServiceDefinition<typeof PeersContract> {
  return service(PeersContract, {
    suspect: ({ ids }) => {
      for (const id of ids) hub.checker.suspect(id);
      return {};
    },
    reach: async () => ({ reaches: await reaches() }),
    seeMesh: async ({ probeTimeoutMs }) => messageOfPart(await meshPartOf(hub, probeTimeoutMs)),
    seeDelivery: ({ revision, waitMs, namespaces }) =>
      namespaces.length === 0
        ? deliveryOf(Number(revision), () => hub.planes(), waitMs, hub.clock)
        : settingsDelivery(hub, Number(revision), namespaces, waitMs),
  });
}

function messageOfPart({ planes, edges }: SeenMeshPart): MessageInitShape<typeof SeeMeshResponseSchema> {
  return { planes: planes.map(planeMessage), edges: edges.map((edge) => ({ ...edge, latency: [...edge.latency] })) };
}

/** What another control plane has told. */
export function partOfMessage({ planes, edges }: SeeMeshResponse): SeenMeshPart {
  return {
    planes: planes.map(planeOf),
    edges: edges.map((edge) => {
      const latency = new Float64Array(LATENCY_BUCKETS);
      latency.set(edge.latency.slice(0, LATENCY_BUCKETS));
      return { ...edge, latency };
    }),
  };
}

function planeOf(plane: DataPlane): DataPlaneState {
  const { kind, attachedMs, sent, acknowledged, enforced, probedMs, refusals, ...rest } = plane;
  return {
    ...rest,
    kind: kind as DataPlaneKind,
    attachedMs: Number(attachedMs),
    sent: Number(sent),
    acknowledged: Number(acknowledged),
    enforced: Number(enforced),
    probedMs: Number(probedMs),
    refusals: refusals.map((refusal) => ({ ...refusal, revision: Number(refusal.revision) })),
    probe: async () => {}, // by the control plane where it is attached
  };
}
