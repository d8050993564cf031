import type { CallContext, CallRequest, Decision } from "../policy/call.ts";
import { copyDecision } from "../policy/decision/decision.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { EMPTY, failure } from "./answer.ts";
import type { SimAttempt } from "./attempt.ts";
import { CarriedCall } from "./carried-call.ts";
import type { SimProcess } from "./process.ts";
import type { Replica } from "./replica.ts";
import type { SimRequest } from "./request.ts";
import type { SimWorld } from "./world.ts";

/**
 * Has an attempt that has arrived pass the gates of its server, as service/gated-plan.ts does over sockets: served once they have let it pass, answered by
 * them when not. False when the server has none for it.
 */
export function gateAttempt(world: SimWorld, system: string, attempt: SimAttempt, replica: Replica): boolean {
  const { call } = attempt;
  const { head: sent } = call.request;
  const { service } = replica.endpoint;
  const process = world.process(replica.id, "server");
  world.measure(process);
  const head: CallRequest = {
    ...sent,
    path: attempt.path === "" ? sent.path : attempt.path,
    authority: attempt.authority === "" ? sent.authority : attempt.authority,
    fields: attempt.head,
    memo: null,
  };
  if (!process.policy.hasGates(head, { service, asSent: null, place: "server" })) return false;
  const request: SimRequest = { ...call.request, head, asSent: null, service, spec: {} };
  const peerIdentity = identityOf(world, system, call.process);
  const context: CallContext = {
    place: "server",
    service,
    asSent: null,
    peerAddress: world.topology.replica(call.process.name)?.endpoint.host ?? GATEWAY_ADDRESS,
    peerIdentity,
    secure: peerIdentity !== "",
    deadline: request.grpc ? world.now + attempt.timeoutMs : Number.POSITIVE_INFINITY,
    callerAttempt: 0,
    requestId: call.context.requestId,
  };
  const ended = (gates: CarriedCall, decision: Decision): void => {
    if (gates.local === null) return;
    world.keep(copyDecision(decision));
    const { status, fields, body } = gates;
    const { grpcStatus, reason } = decision.outcome;
    const base = failure(status, grpcStatus, gates.local.error?.message ?? reason);
    attempt.gates = null;
    attempt.answered({ ...base, fields, body: request.grpc ? EMPTY : body });
  };
  attempt.gates = new CarriedCall(world, process, request, context, ended, () => replica.serve(attempt));
  attempt.gates.begin();
  return true;
}

/** Whether anything of it might hold at a server. */
export function mayGate(resource: Resource): boolean {
  if (resource.kind === "HTTPRoute" || resource.kind === "GRPCRoute") return false;
  if (resource.kind !== "TrafficPolicy") return true;
  const { admission, concurrency, fault } = resource.spec;
  return admission !== undefined || concurrency !== undefined || fault !== undefined;
}

/** As mutual TLS would show it; "" for clients that are no part of the system. */
function identityOf({ topology }: SimWorld, system: string, { name, place }: SimProcess): string {
  if (place === "gateway") return `spiffe://${system}/gateway`;
  const service = topology.replica(name)?.endpoint.service ?? (topology.services.includes(name) ? name : "");
  return service === "" ? "" : `spiffe://${system}/${service}`;
}

const GATEWAY_ADDRESS = "10.255.255.1:40000";
