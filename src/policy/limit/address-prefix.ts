/**
 * The network of an address, as a key: "10.1.2.3:5000" with 24 bits is "10.1.2.0/24", "[2001:db8::1]:443" with 64 is "2001:db8:0:0::/64". All bits of an
 * IPv4 address give the address itself. An IPv4 address written as IPv6 ("::ffff:10.1.2.3") is IPv4. What is no address is a key as it is.
 */
export function addressPrefix(peer: string, ipv4Bits: number, ipv6Bits: number): string {
  const host = hostOf(peer);
  if (!host.includes(":")) return ipv4Prefix(host, ipv4Bits);
  if (host.startsWith(MAPPED) && host.includes(".")) return ipv4Prefix(host.slice(MAPPED.length), ipv4Bits);
  const groups = ipv6Groups(host);
  if (groups === null) return host;
  const shown: string[] = [];
  for (let i = 0; i < 8 && i * 16 < ipv6Bits; i++) {
    const bits = Math.min(16, ipv6Bits - i * 16);
    shown.push((groups[i] & (0xffff << (16 - bits)) & 0xffff).toString(16));
  }
  return shown.length === 8 ? `${shown.join(":")}/${ipv6Bits}` : `${shown.join(":")}::/${ipv6Bits}`;
}

/** Without the port and brackets; an IPv6 address without brackets has no port. */
function hostOf(peer: string): string {
  if (peer.startsWith("[")) {
    const end = peer.indexOf("]");
    return peer.slice(1, end < 0 ? peer.length : end);
  }
  const colon = peer.indexOf(":");
  return colon < 0 || peer.includes(":", colon + 1) ? peer : peer.slice(0, colon);
}

function ipv4Prefix(host: string, bits: number): string {
  if (bits === 32) return host;
  const parts = host.split(".");
  if (parts.length !== 4) return host;
  let value = 0;
  for (const part of parts) {
    const byte = Number(part);
    if (!/^\d{1,3}$/.test(part) || byte > 255) return host;
    value = value * 256 + byte;
  }
  const size = 2 ** (32 - bits);
  value = Math.floor(value / size) * size;
  return `${Math.floor(value / 2 ** 24)}.${Math.floor(value / 2 ** 16) % 256}.${Math.floor(value / 256) % 256}.${value % 256}/${bits}`;
}

/** The eight groups of an IPv6 address without its zone; null when it is none. */
function ipv6Groups(host: string): number[] | null {
  const zone = host.indexOf("%");
  const bare = zone < 0 ? host : host.slice(0, zone);
  const gap = bare.indexOf("::");
  const first = groupsOf(gap < 0 ? bare : bare.slice(0, gap));
  const last = gap < 0 ? [] : groupsOf(bare.slice(gap + 2));
  if (first === null || last === null) return null;
  const missing = 8 - first.length - last.length;
  if (gap < 0 ? missing !== 0 : missing < 1) return null;
  return [...first, ...new Array<number>(missing).fill(0), ...last];
}

function groupsOf(text: string): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  for (const part of text.split(":")) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
    groups.push(Number.parseInt(part, 16));
  }
  return groups;
}

const MAPPED = "::ffff:";
