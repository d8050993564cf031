import type { Endpoint } from "../../core/endpoint.ts";
import type { Attempt } from "./attempt.ts";
import type { CallState } from "./call-state.ts";

/** Counts the call where the system's topology has it: at the backend that answered or was tried last, or else at the service that it was for. */
export function countEdge({ shared, decision, plan, facts }: CallState, delivered: Attempt | null): void {
  const { edges } = shared;
  const { attempts, outcome, service, place } = decision;
  const tried = attempts.length;
  const last = delivered ?? (tried === 0 ? null : attempts[tried - 1]);
  // What matched nothing came to a gateway nevertheless. Elsewhere it went nowhere from nobody.
  if (last === null && service === "" && place !== "gateway") return;
  const to = last === null ? null : (last.to as Endpoint);
  const edge = to === null ? edges.edge(service, "") : edges.edgeOfSlot((last as Attempt).slot, to.service, to.version);
  const method = plan === null ? null : plan.method;
  const streams = (method !== null && (method.clientStreaming || method.serverStreaming)) || facts?.session === true;
  const secure = last?.secure === true;
  edges.count(edge, outcome.status, outcome.grpcStatus, tried, secure, streams ? -1 : decision.durationMs);
}
