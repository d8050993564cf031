import { Health, HealthCheckResponse_ServingStatus as Status } from "../contract/gen/grpc/health/v1/health.ts";
import { WeftError } from "../core/errors.ts";
import { type ServiceDefinition, service } from "./definition.ts";
import type { ServerState, ServerStatus } from "./server-status.ts";

/**
 * grpc.health.v1.Health of a server: "" is the server as a whole, and each service by its full name; all are SERVING together, from
 * when the server is ready until it drains. Source: gRPC Health Checking Protocol.
 */
export function createHealthService(
  status: ServerStatus,
  services: readonly string[],
): ServiceDefinition<typeof Health> {
  const known = new Set(["", ...services]);
  const now = (): Status => (status.state === "serving" ? Status.SERVING : Status.NOT_SERVING);
  return service(Health, {
    check(request) {
      if (known.has(request.service)) return { status: now() };
      throw new WeftError("not_found", `service "${request.service}" is not served here`, {
        reason: "SERVICE_UNKNOWN",
      });
    },
    list: () => ({ statuses: Object.fromEntries([...known].map((name) => [name, { status: now() }])) }),
    async *watch(request, call) {
      if (!known.has(request.service)) yield { status: Status.SERVICE_UNKNOWN };
      let last: Status | null = null;
      while (!call.signal.aborted) {
        const next = now();
        if (known.has(request.service) && next !== last) {
          yield { status: next };
          last = next;
          continue;
        }
        // Nothing more will change, and an open watch would only keep the server from ending.
        if (status.state === "draining") return;
        await changed(status, call.signal);
      }
    },
  });
}

/** Resolves when the state differs from what it is now, or the signal aborts. */
function changed(status: ServerStatus, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stop();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const stop = status.watch((_state: ServerState) => done());
    if (signal.aborted) done();
    else signal.addEventListener("abort", done, { once: true });
  });
}
