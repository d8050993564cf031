import { hostPort } from "../../core/address.ts";
import { startDnsServer } from "../../dns/dns-server.ts";
import { Zone } from "../../dns/zone.ts";
import { createLink } from "../../link/link.ts";
import type { SuppliedPolicy } from "../../link/types.ts";
import { ProcessState } from "../../policy/snapshot/process-state.ts";
import { controlAddress } from "../control-address.ts";
import { toolSecurity } from "../control-client.ts";
import type { Terminal } from "../terminal.ts";
import { tellHost, untilStopped } from "../until-stopped.ts";
import { packageVersion } from "../version.ts";
import type { DirFlags } from "./host.ts";

export interface DnsFlags extends DirFlags {
  control?: string;
  listen: { host: string; port: number };
  allow?: string[];
  ttl: number;
  stateFile?: string;
}

/** `weft dns`: names of the registry's endpoints, until it is stopped. */
export async function dns(flags: DnsFlags, terminal: Terminal): Promise<number> {
  const zone = new Zone({ ttl: flags.ttl, zone: process.env.WEFT_ZONE ?? "" });
  const address = controlAddress(flags);
  const link = createLink({
    address,
    control: await toolSecurity(address),
    policy: endpointsOnly(zone),
    process: "dns",
    version: `weft ${packageVersion()}`,
    ...(flags.stateFile && { stateFile: flags.stateFile }),
    onError: (error) => terminal.err(`${error.message}\n`),
  });
  try {
    // Known before the first query is taken: nobody keeps a "no such name" that is none.
    await link.subscribe("*", 15_000);
    const server = await startDnsServer({
      zone,
      ...flags.listen,
      ...(flags.allow && { allow: flags.allow }),
      onError: (message) => terminal.err(`${message}\n`),
    });
    const at = hostPort(server.host, server.port);
    if (!tellHost(`dns://${at}`, ""))
      terminal.out(`names at ${at}, UDP and TCP; for example: dig @${server.host} -p ${server.port} NAME.weft SRV\n`);
    return await untilStopped(() => server.close());
  } finally {
    await link.close();
  }
}

/** Takes endpoints from the line, and leaves policies: no call is decided here. */
function endpointsOnly(zone: Zone): SuppliedPolicy {
  return {
    applyResources() {},
    applyEndpoints: (delta) => zone.apply(delta),
    quorumBreakers: () => [],
    sharesLimits: false,
    process: new ProcessState(),
    journal: null,
  };
}
