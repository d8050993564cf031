import { Role } from "../contract/gen/weft/control/v1/control.ts";
import { DATA_PLANES, type DataPlane } from "../policy/check/enforcement.ts";
import type { Hub } from "./hub.ts";
import type { XdsPlane } from "./xds/status.ts";

/** Where policy is enforced in a system, as far as its processes are attached, here and (`elsewhere`) to other control planes; all of weft's own places that need no sidecar while none is. */
export function presentPlanes(
  sessions: Hub["sessions"],
  others: readonly Pick<XdsPlane, "node">[] = [],
  elsewhere: readonly string[] = [],
): readonly DataPlane[] {
  const planes = new Set(enforcingOf(sessions, others));
  for (const plane of DATA_PLANES) if (elsewhere.includes(plane)) planes.add(plane);
  return planes.size === 0 ? ["gateway", "client", "server"] : [...planes];
}

/** Those of this control plane's own processes. */
export function enforcingOf(
  sessions: Hub["sessions"],
  others: readonly Pick<XdsPlane, "node">[],
): readonly DataPlane[] {
  const planes = new Set<DataPlane>();
  for (const { hello } of sessions) for (const plane of PLANES[hello?.role ?? Role.UNSPECIFIED]) planes.add(plane);
  for (const { node } of others) planes.add(node.role === "client" ? "grpc-xds" : "envoy");
  return [...planes];
}

/** A sidecar decides the calls that its application makes, and lets in those that come. */
const PLANES: Readonly<Record<Role, readonly DataPlane[]>> = {
  [Role.UNSPECIFIED]: [],
  [Role.GATEWAY]: ["gateway"],
  [Role.SERVICE]: ["client", "server"],
  [Role.SIDECAR]: ["sidecar", "server"],
};
