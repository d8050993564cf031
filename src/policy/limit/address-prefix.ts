import { addressBytes, hostOfAddress } from "../../core/network.ts";

/**
 * The network of an address, as a key: "10.1.2.3:5000" with 24 bits is "10.1.2.0/24", "[2001:db8::1]:443" with 64 is "2001:db8:0:0::/64". All bits of an
 * IPv4 address give the address itself. An IPv4 address written as IPv6 ("::ffff:10.1.2.3") is IPv4. What is no address is a key as it is.
 */
export function addressPrefix(peer: string, ipv4Bits: number, ipv6Bits: number): string {
  const host = hostOfAddress(peer);
  if (ipv4Bits === 32 && !host.includes(":")) return host;
  const bytes = addressBytes(host.split("%", 1)[0]);
  if (bytes === null) return host;
  if (bytes.length === 4) {
    const kept = masked(bytes, ipv4Bits).join(".");
    return ipv4Bits === 32 ? kept : `${kept}/${ipv4Bits}`;
  }
  const kept = masked(bytes, ipv6Bits);
  const groups: string[] = [];
  for (let i = 0; i < 8 && i * 16 < ipv6Bits; i++) groups.push(((kept[2 * i] << 8) | kept[2 * i + 1]).toString(16));
  return `${groups.join(":")}${groups.length === 8 ? "" : "::"}/${ipv6Bits}`;
}

function masked(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - 8 * i))));
}
