import type { Resource, TargetRef, TrafficPolicySpec } from "../resource/resources.ts";

/**
 * What is attached to a policy's stand-by service alone and would have to hold where the call is made: a call passes gates once, those of the service that it is for,
 * before anybody knows that it will fail. "" when there is nothing of the kind; otherwise a warning.
 */
export function standbyGatesMissed({ fallback, targetRefs }: TrafficPolicySpec, all: readonly Resource[]): string {
  if (fallback?.service === undefined) return "";
  const standby = fallback.service;
  const missed = all.filter((resource) => {
    if (!heldByCallers(resource)) return false;
    const refs = resource.spec.targetRefs ?? [];
    if (!refs.some(({ kind, name }) => kind === "Service" && (name === standby || name === standby.split("@", 1)[0])))
      return false;
    return targetRefs === undefined || !targetRefs.every((target) => refs.some((ref) => isSame(ref, target)));
  });
  if (missed.length === 0) return "";
  const names = missed.map(({ kind, metadata }) => `${kind} ${metadata.name}`).join(", ");
  return (
    `calls that fall back to ${standby} have passed the gates of what they were for: ${names} ${missed.length === 1 ? "does" : "do"} not hold for them; ` +
    "attach it to that as well, or have the service enforce it (enforcedBy: server of a RateLimit, at: [server] of the others)"
  );
}

/** Where calls are made, and not (or not for certain) by the service itself. */
function heldByCallers(resource: Resource): resource is Extract<Resource, { kind: GateKind }> {
  switch (resource.kind) {
    case "Authentication":
    case "Authorization":
      return resource.spec.at === undefined || !resource.spec.at.includes("server");
    case "RateLimit":
      return resource.spec.enforcedBy !== "server" && resource.spec.enforcedBy !== "both";
    default:
      return false;
  }
}

type GateKind = "Authentication" | "Authorization" | "RateLimit";

/** Whether what is attached to `ref` holds for the calls of `target`. */
function isSame(ref: TargetRef, target: TargetRef): boolean {
  if (ref.kind === "System" || ref.kind === "Gateway") return true;
  if (ref.kind !== target.kind) return false;
  return ref.name === target.name || (ref.kind === "Service" && ref.name === target.name?.split("@", 1)[0]);
}
