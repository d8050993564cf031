import type { SessionRoute } from "../resource/resources.ts";
import type { FieldPath } from "../resource/shape.ts";
import { parseBackend } from "./rule.ts";

type Tell = (path: FieldPath, message: string) => void;

/** What of a route of sessions names other things or has no effect. `service` looks at the name of a service. */
export function checkSessionRoute(
  { kind, metadata, spec }: SessionRoute,
  error: Tell,
  warn: Tell,
  service: (name: string, path: FieldPath) => void,
): void {
  spec.parentRefs?.forEach((parent, i) => {
    const path = ["spec", "parentRefs", i];
    if (parent.namespace !== undefined) warn([...path, "namespace"], "has no effect: a system has one namespace");
    if (parent.kind !== "Service") return;
    service(parent.name, [...path, "name"]);
    if (kind === "TLSRoute")
      error(
        [...path, "kind"],
        "a TLSRoute is for listeners of the gateway; for sessions to a service write a TCPRoute",
      );
    for (const field of ["sectionName", "port"] as const)
      if (parent[field] !== undefined) warn([...path, field], "has no effect: a service is one thing");
  });
  const [{ backendRefs }] = spec.rules;
  backendRefs.forEach((ref, j) => {
    const path = ["spec", "rules", 0, "backendRefs", j];
    service(parseBackend(ref).service, [...path, "name"]);
    if (ref.port !== undefined)
      warn([...path, "port"], "has no effect: endpoints come from the registry with their ports");
    if (ref.namespace === undefined) return;
    if (ref.namespace === metadata.namespace) warn([...path, "namespace"], "has no effect: a system has one namespace");
    else error([...path, "namespace"], "is another than the route's own; a system has one namespace: leave it out");
  });
  if (backendRefs.every(({ weight }) => weight === 0))
    warn(["spec", "rules", 0, "backendRefs"], "every weight is 0: all its sessions are refused");
}
