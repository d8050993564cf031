import { hostPort } from "../../core/address.ts";
import { systemRandom } from "../../core/random.ts";
import type { ConnectedLimits } from "../../drivers/redis/redis-limits.ts";
import { GATEWAY_UNIT } from "../../host/launch.ts";
import { type SessionListener, sessionListenerText } from "../../host/session-listener.ts";
import { createLink } from "../../link/link.ts";
import { DecisionJournal } from "../../policy/decision/journal.ts";
import { createPolicyRuntime } from "../../policy/snapshot/create-runtime.ts";
import type { AccessLogMode } from "../../proxy/access-log.ts";
import { startGateway } from "../../proxy/gateway.ts";
import { joinMesh } from "../join-mesh.ts";
import type { Terminal } from "../terminal.ts";
import { tlsOfFlags } from "../tls-files.ts";
import { tellHost, untilStopped } from "../until-stopped.ts";
import { packageVersion } from "../version.ts";

export interface GatewayFlags {
  control: string;
  listen: { host: string; port: number };
  admin?: { host: string; port: number };
  accessLog: AccessLogMode;
  trustedProxies?: string[];
  proxyProtocol?: string[];
  listener?: SessionListener[];
  tlsCert?: string;
  tlsKey?: string;
  drain: number;
  stateFile?: string;
  sharedLimits?: string;
  record?: string;
  recordSample: number;
}

export async function gateway(flags: GatewayFlags, terminal: Terminal): Promise<number> {
  const tls = tlsOfFlags(flags);
  const policy = createPolicyRuntime({
    random: systemRandom,
    journal: new DecisionJournal(),
    zone: process.env.WEFT_ZONE ?? "",
  });
  const onError = (error: Error): void => terminal.err(`${error.message}\n`);
  const identity = await joinMesh(flags.control, GATEWAY_UNIT, onError);
  const link = createLink({
    address: flags.control,
    control: identity?.control,
    onTrust: (pem) => identity?.trust(pem),
    policy,
    process: "gateway",
    role: "gateway",
    version: `weft ${packageVersion()}`,
    ...(flags.stateFile && { stateFile: flags.stateFile }),
    onError,
  });
  let sharedLimits: ConnectedLimits | null = null;
  try {
    if (flags.sharedLimits) {
      const { connectRedisLimits } = await import("../../drivers/redis/redis-limits.ts");
      const onChange = (lost: Error | null): void =>
        terminal.err(`${lost === null ? "the store of shared limits is back" : lost.message}\n`);
      sharedLimits = await connectRedisLimits({ url: flags.sharedLimits, onChange });
    }
    // Asked for together with the endpoints, so that contracts are known before the first request is taken.
    link.watchContracts(() => {});
    await link.subscribe("*", 15_000);
    const running = await startGateway({
      listen: { ...flags.listen, ...(tls && { tls }) },
      admin: flags.admin,
      policy,
      link,
      identity,
      accessLog: flags.accessLog,
      trustedProxies: flags.trustedProxies,
      proxyProtocol: flags.proxyProtocol,
      listeners: flags.listener,
      ...(sharedLimits && { sharedLimits }),
      ...(flags.record !== undefined && { record: { folder: flags.record, sample: flags.recordSample } }),
      write: (text) => terminal.out(text),
    });
    const url = `${tls === undefined ? "http" : "https"}://${hostPort(running.host, running.port)}`;
    const admin = running.admin === null ? "" : `http://${hostPort(running.admin.host, running.admin.port)}`;
    const others = running.listeners.map((listener) => `; ${sessionListenerText(listener)}`).join("");
    if (!tellHost(url, admin)) terminal.out(`gateway at ${url}${others}; metrics at ${admin}/metrics\n`);
    return await untilStopped(() => running.stop(flags.drain));
  } finally {
    await sharedLimits?.close();
    await link.close();
    await identity?.close();
  }
}
