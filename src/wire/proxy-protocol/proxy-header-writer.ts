import { portOfAddress } from "../../core/address.ts";
import { addressBytes, hostOfAddress } from "../../core/network.ts";
import { ADDRESS_BYTES, SIGNATURE } from "./proxy-header.ts";

export type ProxyProtocolVersion = "v1" | "v2";

/**
 * The header that tells who connected to us, and where ("192.0.2.7:4711", "[::1]:80"). Addresses of two families are both told as IPv6. What is no address (a UNIX
 * socket) is told as UNKNOWN, or of no family.
 */
export function encodeProxyHeader(version: ProxyProtocolVersion, source: string, destination: string): Buffer {
  const from = addressBytes(hostOfAddress(source));
  const to = addressBytes(hostOfAddress(destination));
  const ports = [portOfAddress(source), portOfAddress(destination)] as const;
  const six = from !== null && to !== null && (from.length === 16 || to.length === 16);
  return version === "v1" ? version1(from, to, ports, six) : version2(from, to, ports, six);
}

type Ports = readonly [number, number];

function version1(from: Uint8Array | null, to: Uint8Array | null, [fromPort, toPort]: Ports, six: boolean): Buffer {
  if (from === null || to === null) return Buffer.from("PROXY UNKNOWN\r\n", "latin1");
  const text = (bytes: Uint8Array): string =>
    bytes.length === 16 ? ipv6Text(bytes) : `${six ? "::ffff:" : ""}${bytes.join(".")}`;
  return Buffer.from(`PROXY ${six ? "TCP6" : "TCP4"} ${text(from)} ${text(to)} ${fromPort} ${toPort}\r\n`, "latin1");
}

function version2(from: Uint8Array | null, to: Uint8Array | null, ports: Ports, six: boolean): Buffer {
  const family = from === null || to === null ? 0 : six ? 2 : 1;
  const header = Buffer.alloc(16 + ADDRESS_BYTES[family]);
  header.set(SIGNATURE);
  header[12] = 0x21; // version 2, PROXY
  header[13] = family === 0 ? 0 : (family << 4) | 1; // over TCP
  header.writeUInt16BE(ADDRESS_BYTES[family], 14);
  if (from === null || to === null) return header;
  const addresses = six ? [asIPv6(from), asIPv6(to)] : [from, to];
  let at = 16;
  for (const address of addresses) {
    header.set(address, at);
    at += address.length;
  }
  for (const port of ports) at = header.writeUInt16BE(port, at);
  return header;
}

function asIPv6(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 16) return bytes;
  const mapped = new Uint8Array(16);
  mapped[10] = mapped[11] = 0xff;
  mapped.set(bytes, 12);
  return mapped;
}

/** In full: short enough for version 1, and understood by everybody. */
function ipv6Text(bytes: Uint8Array): string {
  return Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] << 8) | bytes[2 * i + 1]).toString(16)).join(":");
}
