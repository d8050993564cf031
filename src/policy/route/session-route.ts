import type { Resource, SessionRoute } from "../resource/resources.ts";

/** Whether it is a route of sessions: TCP, UDP or TLS by server name. */
export function isSessionRoute(resource: Resource): resource is SessionRoute {
  return resource.kind === "TCPRoute" || resource.kind === "UDPRoute" || resource.kind === "TLSRoute";
}
