import { WeftError } from "../core/errors.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";

/**
 * For the listener of a service whose process has no identity: closed while the service takes mutual TLS alone. `onProblem` is told once each time it becomes so, since
 * health checks knock on.
 */
export function closedWhenStrict(
  service: string,
  policy: Pick<PolicyRuntime, "mutualTls">,
  onProblem: (error: WeftError) => void,
): () => boolean {
  let told = false;
  return () => {
    const closed = policy.mutualTls(service) === "strict";
    if (closed && !told) {
      const message =
        `${service} takes mutual TLS alone (mtls: strict), and this process has no identity, so that it takes no calls: ` +
        `start it with a join token (WEFT_JOIN_TOKEN, by \`weft token create ${service}\`), or set mtls: permissive`;
      onProblem(new WeftError("failed_precondition", message, { reason: "NO_IDENTITY" }));
    }
    told = closed;
    return closed;
  };
}
