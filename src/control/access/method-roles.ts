import type { DescMethod } from "@bufbuild/protobuf";

/** What people and programs may: each role may what those before may. */
export const ACCESS_ROLES = ["reader", "publisher", "operator"] as const;
export type AccessRole = (typeof ACCESS_ROLES)[number];

/**
 * Who may call a method. "process": the data planes of the system, each by rules of its own (join tokens, certificates, proofs on the line). "peer": the other control planes alone. "anyone":
 * it tells nothing of the system.
 */
export type MethodRole = AccessRole | "process" | "peer" | "anyone";

/** Every method that the control plane answers: what is not here is answered to nobody. */
const METHOD_ROLES: Readonly<Record<string, MethodRole>> = {
  "weft.control.v1.Control/Attach": "process",
  "weft.control.v1.Fleet/Meet": "process",
  "weft.control.v1.Fleet/Lease": "process",
  "weft.control.v1.Identity/Issue": "process",
  "weft.control.v1.Identity/CreateJoinToken": "operator",
  "weft.control.v1.Identity/GetAuthority": "reader",
  "weft.control.v1.Identity/RotateAuthority": "operator",
  "weft.control.v1.Admin/GetStatus": "reader",
  "weft.control.v1.Admin/ListServices": "reader",
  "weft.control.v1.Admin/ListProcesses": "reader",
  "weft.control.v1.Admin/GetTopology": "reader",
  "weft.control.v1.Admin/ListContracts": "reader",
  "weft.control.v1.Admin/ExplainCall": "reader",
  "weft.control.v1.Admin/GetRevision": "reader",
  "weft.control.v1.Admin/ListRevisions": "reader",
  "weft.control.v1.Admin/GetSettings": "reader",
  "weft.control.v1.Admin/PublishRevision": "publisher",
  "weft.control.v1.Admin/RollbackRevision": "publisher",
  "weft.control.v1.Admin/TagRevision": "publisher",
  "weft.control.v1.Admin/PublishSettings": "publisher",
  "weft.control.v1.Endpoints/RegisterEndpoint": "publisher",
  "weft.control.v1.Endpoints/DeregisterEndpoint": "publisher",
  "weft.control.v1.Endpoints/SetEndpointHealth": "publisher",
  "weft.control.v1.Access/CreateAdminToken": "operator",
  "weft.control.v1.Access/ListAdminTokens": "operator",
  "weft.control.v1.Access/RevokeAdminToken": "operator",
  "weft.control.v1.Access/GrantRole": "operator",
  "weft.control.v1.Access/ListGrants": "operator",
  "weft.control.v1.Access/ListAudit": "operator",
  "weft.control.v1.Peers/Suspect": "peer",
  "weft.control.v1.Peers/Reach": "peer",
  "weft.control.v1.Peers/SeeMesh": "peer",
  "weft.control.v1.Peers/SeeDelivery": "peer",
};

/** Whole services that are of one kind. */
const SERVICE_ROLES: readonly (readonly [RegExp, MethodRole])[] = [
  [/^envoy\.service\./, "process"],
  [/^grpc\.(?:health|reflection)\./, "anyone"],
];

/** Null: answered to nobody. */
export function roleOfMethod({ parent, name }: DescMethod): MethodRole | null {
  const role = METHOD_ROLES[`${parent.typeName}/${name}`];
  return role ?? SERVICE_ROLES.find(([pattern]) => pattern.test(parent.typeName))?.[1] ?? null;
}

/** Whether a method is for a role, rather than for anybody or for processes. */
export function isAccessRole(role: MethodRole | null): role is AccessRole {
  return (ACCESS_ROLES as readonly (string | null)[]).includes(role);
}

/** Each role may do what the ones before it may; null may do nothing. */
export function mayDo(role: AccessRole | null, needed: AccessRole): boolean {
  return role !== null && ACCESS_ROLES.indexOf(role) >= ACCESS_ROLES.indexOf(needed);
}
