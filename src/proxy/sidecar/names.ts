import { readFileSync } from "node:fs";
import { WeftError } from "../../core/errors.ts";
import { listenDns } from "../../dns/dns-server.ts";
import { type ResolverAddress, resolversOf } from "../../dns/resolvers.ts";
import { VirtualAddresses } from "../../dns/virtual-addresses.ts";
import { VirtualNameServer } from "../../dns/virtual-name-server.ts";
import { askDnsServer } from "../../net/dns-exchange.ts";
import type { Sidecar } from "./sidecar.ts";
import { VirtualHosts } from "./virtual-hosts.ts";

export interface NamesOptions {
  /** Where queries are answered. */
  dns: { readonly host: string; readonly port: number };
  /** Of 127.0.0.0/8. Default 127.80.0.0/16. */
  network?: string;
  /** On which virtual addresses are listened at. Default 80, 8080 and 50051. */
  ports?: readonly number[];
  /** Who is asked for other names. Default: those of /etc/resolv.conf; empty: nobody, such queries are refused. */
  resolvers?: readonly ResolverAddress[];
  /** From which addresses follow, so that they are the same after a restart: the instance's id. */
  seed: string;
  /** Ports of the service itself, that clients know. */
  ownPorts?: (service: string) => Promise<readonly number[]>;
  onProblem(error: WeftError): void;
}

export interface Names {
  readonly dns: { readonly host: string; readonly port: number };
  /** "orders.weft" -> the virtual address on which it is listened at; null: it has none. */
  addressOf(name: string): Promise<string | null>;
  close(): Promise<void>;
}

/**
 * Answers the application's DNS queries beside a sidecar: NAME.weft has a virtual address, and whoever connects to it is taken to that service, whatever the
 * port and the protocol. Rejects PORT_IN_USE.
 */
export async function openNames(sidecar: Pick<Sidecar, "listenOutbound">, options: NamesOptions): Promise<Names> {
  const { network = DEFAULT_NETWORK, ports = DEFAULT_PORTS, seed, ownPorts } = options;
  const onProblem = (message: string): void =>
    options.onProblem(new WeftError("failed_precondition", message, { reason: "VIRTUAL_ADDRESSES" }));
  const hosts = new VirtualHosts({
    addresses: new VirtualAddresses(network, seed),
    ports,
    listenAt: (host, port, destination) => sidecar.listenOutbound({ host, port }, () => destination),
    ...(ownPorts && {
      ownPorts: async (destination) => (destination.kind === "service" ? ownPorts(destination.follow) : []),
    }),
    onProblem,
  });
  const resolvers = options.resolvers ?? systemResolvers();
  const others = resolvers.filter(({ host, port }) => host !== options.dns.host || port !== options.dns.port);
  const server = new VirtualNameServer({
    addressOf: (name) => hosts.addressOf(name),
    ...(others.length > 0 && { forward: (query, over) => askEach(others, query, over) }),
  });
  const dns = await listenDns((query, over) => server.answer(query, over), {
    ...options.dns,
    // Only this machine gets to a loopback address, and what is redirected there comes from any of its addresses.
    ...(isLoopback(options.dns.host) && { allow: ["0.0.0.0/0", "::/0"] }),
    onError: onProblem,
  });
  return {
    dns: { host: dns.host, port: dns.port },
    addressOf: (name) => hosts.addressOf(name),
    async close() {
      await dns.close();
      await hosts.close();
    },
  };
}

function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.");
}

/** One after the other, until one answers. */
async function askEach(
  resolvers: readonly ResolverAddress[],
  query: Uint8Array,
  over: "udp" | "tcp",
): Promise<Uint8Array | null> {
  for (const resolver of resolvers) {
    const answer = await askDnsServer(resolver, query, over);
    if (answer !== null) return answer;
  }
  return null;
}

function systemResolvers(): ResolverAddress[] {
  try {
    return resolversOf(readFileSync("/etc/resolv.conf", "utf8"));
  } catch {
    return [];
  }
}

const DEFAULT_NETWORK = "127.80.0.0/16";
export const DEFAULT_PORTS: readonly number[] = [80, 8_080, 50_051];
