import { hostPort } from "../../core/address.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { systemRandom } from "../../core/random.ts";
import { DecisionJournal } from "../../policy/decision/journal.ts";
import { GATEWAY_API } from "../../policy/resource/resources.ts";
import { createPolicyRuntime } from "../../policy/snapshot/create-runtime.ts";
import type { AccessLogMode } from "../../proxy/access-log.ts";
import { startGateway } from "../../proxy/gateway.ts";
import type { Terminal } from "../terminal.ts";
import { readCaFile, tlsOfFlags } from "../tls-files.ts";
import { untilStopped } from "../until-stopped.ts";

export interface ProxyFlags {
  listen: { host: string; port: number };
  to: { host: string; port: number }[];
  h2: boolean;
  toTls: boolean;
  toCa?: string;
  tlsCert?: string;
  tlsKey?: string;
  admin?: { host: string; port: number };
  accessLog: AccessLogMode;
  trustedProxies?: string[];
}

/** `weft proxy`: the gateway's data plane with one route, to static endpoints. */
export async function proxy(flags: ProxyFlags, terminal: Terminal): Promise<number> {
  const secure = flags.toTls || flags.toCa !== undefined;
  const upstreamTls = flags.toCa === undefined ? undefined : { ca: readCaFile(flags.toCa, "--to-ca") };
  const tls = tlsOfFlags(flags);
  const policy = createPolicyRuntime({
    random: systemRandom,
    journal: new DecisionJournal(),
    zone: process.env.WEFT_ZONE ?? "",
  });
  const changed = flags.to.map(({ host, port }): Endpoint => {
    const protocol = secure ? "h2" : flags.h2 ? "h2c" : "http1";
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
    listen: { ...flags.listen, ...(tls && { tls }) },
    upstreamTls,
    admin: flags.admin,
    policy,
    accessLog: flags.accessLog,
    trustedProxies: flags.trustedProxies,
    write: (text) => terminal.out(text),
  });
  const to = flags.to.map(({ host, port }) => hostPort(host, port)).join(", ");
  const spoken = secure ? "TLS, HTTP/2 or HTTP/1.1" : flags.h2 ? "HTTP/2" : "HTTP/1.1";
  const metrics =
    running.admin === null ? "" : `; metrics at http://${hostPort(running.admin.host, running.admin.port)}/metrics`;
  terminal.out(
    `${tls === undefined ? "http" : "https"}://${hostPort(running.host, running.port)} -> ${to} (${spoken})${metrics}\n`,
  );
  return untilStopped(() => running.stop(DRAIN_MS));
}

const UPSTREAM = "upstream";
const DRAIN_MS = 10_000;
