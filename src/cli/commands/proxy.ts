import type { Endpoint } from "../../core/endpoint.ts";
import { systemRandom } from "../../core/random.ts";
import { hostPort } from "../../host/launch.ts";
import { createPolicyRuntime } from "../../policy/create-runtime.ts";
import { GATEWAY_API } from "../../policy/resources.ts";
import type { AccessLogMode } from "../../proxy/access-log.ts";
import { startGateway } from "../../proxy/gateway.ts";
import type { Terminal } from "../terminal.ts";
import { untilStopped } from "../until-stopped.ts";

export interface ProxyFlags {
  listen: { host: string; port: number };
  to: { host: string; port: number }[];
  h2: boolean;
  admin?: { host: string; port: number };
  accessLog: AccessLogMode;
}

/** `weft proxy`: the gateway's data plane with one route, to static endpoints. */
export async function proxy(flags: ProxyFlags, terminal: Terminal): Promise<number> {
  const policy = createPolicyRuntime({ random: systemRandom });
  const changed = flags.to.map(({ host, port }): Endpoint => {
    const protocol = flags.h2 ? "h2c" : "http1";
    return {
      id: hostPort(host, port),
      service: UPSTREAM,
      host,
      port,
      version: "",
      zone: "",
      weight: 1,
      protocol,
      health: "healthy",
      metadata: {},
    };
  });
  const route = {
    apiVersion: GATEWAY_API,
    kind: "HTTPRoute",
    metadata: { name: "everything" },
    spec: { rules: [{ backendRefs: [{ name: UPSTREAM }] }] },
  } as const;
  policy.applyResources(1, [route], []);
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const running = await startGateway({
    listen: flags.listen,
    admin: flags.admin,
    policy,
    accessLog: flags.accessLog,
    write: (text) => terminal.out(text),
  });
  const to = flags.to.map(({ host, port }) => hostPort(host, port)).join(", ");
  const metrics =
    running.admin === null ? "" : `; metrics at http://${hostPort(running.admin.host, running.admin.port)}/metrics`;
  terminal.out(
    `http://${hostPort(running.host, running.port)} -> ${to} (${flags.h2 ? "HTTP/2" : "HTTP/1.1"})${metrics}\n`,
  );
  return untilStopped(() => running.stop(DRAIN_MS));
}

const UPSTREAM = "upstream";
const DRAIN_MS = 10_000;
