import { isIP } from "node:net";
import { WeftError } from "../core/errors.ts";
import { addressBytes, hostOfAddress, type Network, parseNetwork } from "../core/network.ts";
import type { PeerInfo } from "../wire/stream.ts";

/**
 * Load balancers and proxies in front of the gateway whose x-forwarded-* is believed, by their addresses. Of x-forwarded-for, in which each hop adds on the right who
 * connected to it, only what trusted hops wrote is believed:
 *
 *     x-forwarded-for: 6.6.6.6, 192.0.2.7, 10.0.0.2      from 10.0.0.1, trusted: 10.0.0.0/8
 *                      (claimed)  (client)   (trusted)
 *
 * As nginx's real_ip_recursive and Envoy's xff_trusted_cidrs: from the right, the first address that is not trusted is the client; the last one when all are.
 */
export class TrustedProxies {
  readonly #networks: readonly Network[];
  /** By connection: an address is looked up once. */
  readonly #known = new WeakMap<PeerInfo, boolean>();

  /** Throws `invalid_argument` for what is no network. */
  constructor(networks: readonly string[]) {
    this.#networks = networks.map((text) => {
      const network = parseNetwork(text);
      if (network !== undefined) return network;
      throw new WeftError(
        "invalid_argument",
        `"${text}" is no network of trusted proxies; write an address or a network in CIDR notation: 10.0.0.0/8, fd00::/8`,
        { reason: "BAD_NETWORK" },
      );
    });
  }

  trusts(peer: PeerInfo): boolean {
    let trusted = this.#known.get(peer);
    if (trusted === undefined) {
      trusted = this.has(hostOfAddress(peer.address));
      this.#known.set(peer, trusted);
    }
    return trusted;
  }

  /** Of what a trusted peer sent as x-forwarded-for: null when it says nothing that can be used. What is no address ends it: only what stands right of that is known. */
  clientOf(forwardedFor: string): Forwarded | null {
    let client: Forwarded | null = null;
    let end = forwardedFor.length;
    for (let hops = 0; hops < MAX_HOPS && end > 0; hops++) {
      const comma = forwardedFor.lastIndexOf(",", end - 1);
      const address = addressOf(forwardedFor.slice(comma + 1, end).trim());
      if (address === null) break;
      client = { address, chain: forwardedFor.slice(comma + 1).trim() };
      if (!this.has(hostOfAddress(address))) break;
      end = comma;
    }
    return client;
  }

  /** An address without its port. */
  has(host: string): boolean {
    return this.#networks.some((network) => network.has(host));
  }
}

export interface Forwarded {
  /** The client's, as other peers' are written: "192.0.2.7:0", "[2001:db8::7]:4711"; the port is 0 when nobody said it. */
  readonly address: string;
  /** The client and the trusted hops behind it, as they were written. */
  readonly chain: string;
}

/** "192.0.2.7", "192.0.2.7:4711", "2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:4711"; null for anything else. */
function addressOf(text: string): string | null {
  if (text.length > MAX_ADDRESS) return null;
  if (isIP(text) === 6) {
    const bytes = addressBytes(text);
    if (bytes === null) return null;
    return bytes.length === 4 ? `${bytes.join(".")}:0` : `[${text}]:0`;
  }
  const [, host, port = "0"] = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) return null;
  if (host.startsWith("[")) return isIP(host.slice(1, -1)) === 6 && !host.includes("%") ? `${host}:${port}` : null;
  return isIP(host) === 4 ? `${host}:${port}` : null;
}

/** Proxies in a row that are looked through. */
const MAX_HOPS = 32;
/** "[" IPv6 with an IPv4 end "]:65535" */
const MAX_ADDRESS = 53;
