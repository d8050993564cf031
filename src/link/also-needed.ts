import type { Resource } from "../policy/resource/resources.ts";

/**
 * Services that calls to others may go to, as policies and routes name them: stand-ins of fallbacks, and backends and mirrors of routes that hold for calls to
 * a followed service. A client follows them beside the service that it calls. `followed`: whether a service is.
 */
export function alsoNeeded(resources: readonly Resource[], followed: (service: string) => boolean): Set<string> {
  const needed = new Set<string>();
  const add = (name: string | undefined): void => {
    if (name) needed.add(name.split("@", 1)[0]);
  };
  for (const { kind, spec } of resources) {
    if (kind === "TrafficPolicy") {
      const { targetRefs = [], fallback } = spec;
      const holds =
        targetRefs.length === 0 ||
        targetRefs.some((ref) => ref.kind !== "Service" || followed((ref.name ?? "").split("@", 1)[0]));
      if (holds) add(fallback?.service);
    } else if (kind === "TCPRoute" || kind === "UDPRoute") {
      const { parentRefs = [], rules } = spec;
      if (!parentRefs.some((parent) => parent.kind === "Service" && followed(parent.name))) continue;
      for (const { backendRefs } of rules) for (const { name } of backendRefs) add(name);
    } else if (kind === "HTTPRoute" || kind === "GRPCRoute") {
      const { parentRefs = [], rules } = spec;
      if (!parentRefs.some((parent) => parent.kind === "Service" && followed(parent.name))) continue;
      for (const { backendRefs = [], filters = [] } of rules) {
        for (const { name } of backendRefs) add(name);
        for (const filter of filters) if (filter.type === "RequestMirror") add(filter.requestMirror.backendRef.name);
      }
    }
  }
  for (const name of [...needed]) if (followed(name)) needed.delete(name);
  return needed;
}
