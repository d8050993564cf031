import { isIPv4, isIPv6 } from "node:net";
import { WeftError } from "../../core/errors.ts";
import { ADDRESS_BYTES, type ProxyHeader, SIGNATURE } from "./proxy-header.ts";

/**
 * Reads the header that a proxy sends before a connection's own bytes, versions 1 and 2 of the PROXY protocol (haproxy's doc/proxy-protocol.txt).
 *
 *     feed -> null: more is needed
 *          -> the header; `consumed` bytes of this chunk belong to it, the rest is the connection's
 *          -> throws: it is none
 *
 * P1. However the bytes are cut into chunks, the result is the same.
 * P2. At most MAX_BYTES are held; what would be longer is refused as soon as that is known.
 * P3. What is not exactly as the specification has it is refused: who connects is not guessed.
 */
export class ProxyHeaderReader {
  /** Of the last chunk, once there is a header. */
  consumed = 0;
  #held: Uint8Array = new Uint8Array(128);
  #length = 0;

  feed(chunk: Uint8Array, start: number, end: number): ProxyHeader | null {
    for (let at = start; at < end; at++) {
      this.#append(chunk[at]);
      const header = this.#step();
      if (header === null) continue;
      this.consumed = at + 1 - start;
      return header;
    }
    return null;
  }

  #append(byte: number): void {
    if (this.#length === this.#held.length) {
      const larger = new Uint8Array(Math.min(MAX_BYTES, this.#held.length * 4));
      larger.set(this.#held);
      this.#held = larger;
    }
    this.#held[this.#length++] = byte;
  }

  /** One more byte is there. */
  #step(): ProxyHeader | null {
    const held = this.#held;
    const length = this.#length;
    if (held[0] === SIGNATURE[0]) {
      if (length <= SIGNATURE.length) {
        if (held[length - 1] !== SIGNATURE[length - 1])
          throw malformed("it begins like version 2 and goes on otherwise");
        return null;
      }
      if (length < FIXED_BYTES) return null;
      const total = FIXED_BYTES + ((held[14] << 8) | held[15]);
      if (total > MAX_BYTES) throw malformed(`it would be ${total} bytes long; at most ${MAX_BYTES} are taken`);
      return length < total ? null : parseVersion2(held, total);
    }
    if (length <= PREFIX.length) {
      if (held[length - 1] !== PREFIX.charCodeAt(length - 1)) throw malformed("there is none");
      return null;
    }
    if (held[length - 1] === LF) return parseVersion1(Buffer.from(held.buffer, 0, length).toString("latin1"));
    if (length >= MAX_LINE) throw malformed(`its line is longer than ${MAX_LINE} bytes`);
    return null;
  }
}

function parseVersion1(line: string): ProxyHeader {
  if (!line.endsWith("\r\n")) throw malformed("its line must end with CR LF");
  const parts = line.slice(0, -2).split(" ");
  if (parts[1] === "UNKNOWN") return { command: "proxy", source: "", destination: "" };
  const [, family, from, to, fromPort, toPort] = parts;
  const known = family === "TCP4" ? isIPv4 : family === "TCP6" ? isIPv6Plain : null;
  if (known === null || parts.length !== 6 || !known(from) || !known(to) || !isPort(fromPort) || !isPort(toPort))
    throw malformed("its line must be PROXY TCP4|TCP6 and two addresses and ports, or PROXY UNKNOWN");
  return { command: "proxy", source: joined(from, fromPort), destination: joined(to, toPort) };
}

function parseVersion2(bytes: Uint8Array, total: number): ProxyHeader {
  const version = bytes[12] >> 4;
  const command = bytes[12] & 15;
  const family = bytes[13] >> 4;
  const transport = bytes[13] & 15;
  if (version !== 2) throw malformed(`version ${version} is not known`);
  if (command > 1) throw malformed(`command ${command} is not known`);
  if (family > 3 || transport > 2) throw malformed(`family and protocol 0x${bytes[13].toString(16)} are not known`);
  // Whatever a LOCAL header has behind it is to be passed over.
  if (command === 0) return { command: "local", source: "", destination: "" };
  const addresses = ADDRESS_BYTES[family];
  if (total < FIXED_BYTES + addresses) throw malformed("it is shorter than its addresses");
  if (family !== 0) checkTlvs(bytes, FIXED_BYTES + addresses, total);
  if (family === 1 && transport !== 0) {
    return {
      command: "proxy",
      source: `${ipv4(bytes, 16)}:${port(bytes, 24)}`,
      destination: `${ipv4(bytes, 20)}:${port(bytes, 26)}`,
    };
  }
  if (family === 2 && transport !== 0) {
    return {
      command: "proxy",
      source: joined(ipv6(bytes, 16), port(bytes, 48)),
      destination: joined(ipv6(bytes, 32), port(bytes, 50)),
    };
  }
  return { command: "proxy", source: "", destination: "" };
}

/** What they say is not looked at; that they end where the header does is. */
function checkTlvs(bytes: Uint8Array, start: number, end: number): void {
  let at = start;
  while (at < end) {
    if (end - at < 3) throw malformed("its last value (TLV) is cut off");
    at += 3 + ((bytes[at + 1] << 8) | bytes[at + 2]);
  }
  if (at !== end) throw malformed("a value (TLV) reaches beyond its end");
}

function joined(host: string, port: number | string): string {
  if (!host.includes(":")) return `${host}:${port}`;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host);
  return mapped === null ? `[${host}]:${port}` : `${mapped[1]}:${port}`;
}

function ipv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** In short form (RFC 5952), an IPv4 address that is mapped as "::ffff:192.0.2.1". */
function ipv6(bytes: Uint8Array, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[at + 2 * i] << 8) | bytes[at + 2 * i + 1]);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) return `::ffff:${ipv4(bytes, at + 12)}`;
  let best = { from: 0, length: 1 };
  for (let from = 0; from < 8; from++) {
    let length = 0;
    while (from + length < 8 && groups[from + length] === 0) length++;
    if (length > best.length) best = { from, length };
  }
  const text = (part: number[]): string => part.map((group) => group.toString(16)).join(":");
  if (best.length < 2) return text(groups);
  return `${text(groups.slice(0, best.from))}::${text(groups.slice(best.from + best.length))}`;
}

function port(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

function isIPv6Plain(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function malformed(why: string): WeftError {
  return new WeftError("invalid_argument", `no PROXY protocol header: ${why}`, { reason: "BAD_PROXY_HEADER" });
}

const PREFIX = "PROXY ";
const LF = 0x0a;
/** "PROXY UNKNOWN" with two full IPv6 addresses, CR LF: the longest line that version 1 allows. */
const MAX_LINE = 107;
/** Signature, version and command, family and protocol, length. */
const FIXED_BYTES = 16;
/** Certificates' names and ids fit; nobody needs the 65 kB that the format allows. */
const MAX_BYTES = 4_096;
