import { isIP } from "node:net";

export interface ResolverAddress {
  readonly host: string;
  readonly port: number;
}

/** Who is asked for other names, as /etc/resolv.conf says it: at most three, as the system's own resolver takes them. */
export function resolversOf(resolvConf: string): ResolverAddress[] {
  const found: ResolverAddress[] = [];
  for (const line of resolvConf.split("\n")) {
    const host = /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? "";
    if (isIP(host) !== 0 && found.length < MAX_RESOLVERS) found.push({ host, port: 53 });
  }
  return found;
}

const MAX_RESOLVERS = 3;
