/** Kinds that a cluster's YAML has beside its routes, and why they have no effect: accepted with a warning. */
export const IGNORED_KINDS: Readonly<Record<string, string>> = {
  Gateway: "the system's gateway is described by `gateway` in the system, or by `weft gateway`",
  GatewayClass: "every gateway is weft's",
  ListenerSet: "the system's gateway has one listener",
  ReferenceGrant: "a system has one namespace",
};

/** The reason, "" for what has an effect. */
export function ignoredKind(kind: unknown, apiVersion: unknown): string {
  if (typeof kind !== "string" || typeof apiVersion !== "string") return "";
  if (!apiVersion.startsWith("gateway.networking.k8s.io/")) return "";
  return Object.hasOwn(IGNORED_KINDS, kind) ? IGNORED_KINDS[kind] : "";
}
