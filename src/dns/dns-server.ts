import type { Clock } from "../core/clock.ts";
import { type Network, parseNetwork } from "../core/network.ts";
import { listenFrames } from "../net/frame-listener.ts";
import { listenUdp } from "../net/udp-listener.ts";
import { NameServer } from "./name-server.ts";
import type { Zone } from "./zone.ts";

export interface DnsServerOptions extends DnsListenOptions {
  zone: Zone;
}

export interface DnsListenOptions {
  /** Default "127.0.0.1". */
  host?: string;
  /** Of UDP and TCP; 0 picks one that is free for both. Default 5353. */
  port?: number;
  /** Networks (CIDR) that are answered; others get nothing. Default: this machine alone. */
  allow?: readonly string[];
  /** Of TCP connections, ms. Default 10,000. */
  idleTimeoutMs?: number;
  clock?: Clock;
  onError?: (message: string) => void;
}

export interface DnsServer {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Serves a zone over UDP and TCP on one port. Rejects with WeftError "failed_precondition" when it cannot listen. */
export function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const server = new NameServer(options.zone);
  return listenDns((bytes, over) => server.answer(bytes, over), options);
}

/** The answer to a query, valid until the next call, or later as a promise; null: none. Must neither throw nor reject. */
type Answer = (query: Uint8Array, over: "udp" | "tcp") => Uint8Array | null | Promise<Uint8Array | null>;

/** The same for whatever answers queries. */
export async function listenDns(answer: Answer, options: DnsListenOptions): Promise<DnsServer> {
  const { host = "127.0.0.1", port = 5353, allow = LOOPBACK, onError } = options;
  const networks = allow.map(parseNetwork).filter((network) => network !== undefined);
  const accepts = acceptedBy(networks);
  for (let tries = 1; ; tries++) {
    const tcp = await listenFrames({
      host,
      port,
      accepts,
      onMessage: (bytes) => answer(bytes, "tcp"),
      ...(options.idleTimeoutMs !== undefined && { idleTimeoutMs: options.idleTimeoutMs }),
      ...(options.clock && { clock: options.clock }),
    });
    try {
      const onDatagram = (bytes: Uint8Array): ReturnType<Answer> => answer(bytes, "udp");
      const udp = await listenUdp({ host, port: tcp.port, accepts, onDatagram, ...(onError && { onError }) });
      return {
        host,
        port: tcp.port,
        close: async () => void (await Promise.all([udp.close(), tcp.close()])),
      };
    } catch (error) {
      await tcp.close();
      // What is free for TCP may not be for UDP.
      if (port !== 0 || tries === TRIES) throw error;
    }
  }
}

/** Clients come again and again: what was found of an address is kept, of the last one. */
function acceptedBy(networks: readonly Network[]): (address: string) => boolean {
  let last = "";
  let accepted = false;
  return (address) => {
    if (address === last) return accepted;
    const plain = address.split("%", 1)[0];
    last = address;
    accepted = networks.some((network) => network.has(plain));
    return accepted;
  };
}

const LOOPBACK: readonly string[] = ["127.0.0.0/8", "::1/128"];
const TRIES = 10;
