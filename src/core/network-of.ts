/**
 * Whom an address is counted as: IPv4 as it is, IPv6 by its first 64 bits, of which one machine may have all (RFC 4291, section 2.5.4). Takes addresses with and without brackets, zones
 * and ports of the form "[::1]:80"; what is no IPv6 address comes back as it is, without a port.
 */
export function networkOf(address: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(address)?.[1];
  const host = bracketed ?? (address.indexOf(":") === address.lastIndexOf(":") ? address.split(":", 1)[0] : address);
  if (!host.includes(":")) return host;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = "", tail] = host.split("%", 1)[0].split("::", 2);
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeros).fill("0"), ...after].slice(0, 4);
  return `${groups.map((group) => group.toLowerCase().replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
