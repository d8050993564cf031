import { toWeftError, WeftError } from "../core/errors.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import type { Mirror, MirrorChange } from "./mirror.ts";

/**
 * Gives a policy runtime what is new in the mirror: endpoints first, so that new routes find theirs. Resources that cannot be compiled here (this
 * process may be older than they are) leave the last ones in use and are reported.
 */
export function feedPolicy(
  policy: PolicyRuntime,
  mirror: Mirror,
  { resources, changed, removed }: MirrorChange,
  report: (error: WeftError) => void,
): void {
  if (changed.length + removed.length > 0) {
    policy.applyEndpoints({ endpointVersion: mirror.endpointVersion, full: false, changed, removed });
  }
  if (!resources) return;
  const { revision } = mirror;
  try {
    policy.applyResources(revision, mirror.resources, mirror.methods());
  } catch (cause) {
    const message = `revision ${revision} cannot be used here, the last one stays: ${toWeftError(cause).message}`;
    report(new WeftError("failed_precondition", message, { reason: "RESOURCES_REFUSED", cause }));
  }
}
