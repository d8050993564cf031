import type { TrafficPolicySpec } from "../resource/resources.ts";
import type { FieldPath } from "../resource/shape.ts";

/**
 * Limits of connections hold for an endpoint, whatever calls go there: one that held for some of its calls alone would have to change with each of them. So
 * they are for services, or for everything.
 */
export function checkConnectionLimits(
  { limits, targetRefs = [] }: TrafficPolicySpec,
  tell: (path: FieldPath, message: string) => void,
): void {
  const field = limits === undefined ? undefined : FIELDS.find((name) => limits[name] !== undefined);
  if (field === undefined) return;
  for (const { kind, name = "" } of targetRefs) {
    const version = kind === "Service" && name.includes("@");
    if (!version && (kind === "System" || kind === "Gateway" || kind === "Service")) continue;
    const whole = version ? `the service ${name.split("@", 1)[0]}` : "a service";
    const what = version ? "some calls to an endpoint" : `the calls of one ${kind} alone`;
    tell(
      ["spec", "limits", field],
      `holds for an endpoint's connections and not for ${what}; write it in a policy for ${whole}, or use maxInFlight here`,
    );
    return;
  }
}

const FIELDS = ["maxConnections", "maxPending", "maxStreams"] as const;
