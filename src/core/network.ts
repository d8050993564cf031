import { isIP } from "node:net";

/** "10.0.0.0/8", "fd00::/8", "192.0.2.7". An IPv4 address that is mapped into IPv6 is judged as IPv4. */
export interface Network {
  readonly text: string;
  has(address: string): boolean;
}

/** Undefined when it is none. */
export function parseNetwork(text: string): Network | undefined {
  const slash = text.indexOf("/");
  const bytes = addressBytes(slash < 0 ? text : text.slice(0, slash));
  if (bytes === null) return undefined;
  const most = bytes.length * 8;
  const length = slash < 0 ? most : /^\d{1,3}$/.test(text.slice(slash + 1)) ? Number(text.slice(slash + 1)) : -1;
  if (length < 0 || length > most) return undefined;
  return {
    text,
    has(address) {
      const other = addressBytes(address);
      return other !== null && other.length === bytes.length && sameBits(bytes, other, length);
    },
  };
}

/** "10.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80" without the port and the zone. */
export function hostOfAddress(address: string): string {
  if (address.startsWith("[")) return address.slice(1, Math.max(1, address.indexOf("]"))).split("%", 1)[0];
  const colon = address.indexOf(":");
  return colon < 0 || colon !== address.lastIndexOf(":") ? address : address.slice(0, colon);
}

function sameBits(one: Uint8Array, other: Uint8Array, length: number): boolean {
  const whole = length >> 3;
  for (let i = 0; i < whole; i++) if (one[i] !== other[i]) return false;
  const rest = length & 7;
  return rest === 0 || ((one[whole] ^ other[whole]) & (0xff << (8 - rest)) & 0xff) === 0;
}

/** 4 or 16 bytes; null when it is no address. */
export function addressBytes(text: string): Uint8Array | null {
  const version = isIP(text);
  if (version === 4) return Uint8Array.from(text.split("."), Number);
  if (version !== 6 || text.includes("%")) return null;
  const bytes = new Uint8Array(16);
  const [head, tail] = text.split("::", 2);
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  left.forEach((group, i) => {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group & 0xff;
  });
  right.forEach((group, i) => {
    const at = 16 - 2 * (right.length - i);
    bytes[at] = group >> 8;
    bytes[at + 1] = group & 0xff;
  });
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return mapped ? bytes.slice(12) : bytes;
}

/** Sixteen bits each; a dotted end counts as two. */
function groups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part) => {
    if (!part.includes(".")) return [Number.parseInt(part, 16)];
    const [a, b, c, d] = part.split(".").map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
