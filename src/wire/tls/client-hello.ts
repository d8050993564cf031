import { WeftError } from "../../core/errors.ts";

/** What a TLS client says in the clear before anything is encrypted (RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301). */
export interface ClientHello {
  /** Lower-case, without the dot that ends a full name; "" when it names none. */
  readonly serverName: string;
  readonly alpn: readonly string[];
}

/**
 * Reads a connection's ClientHello without terminating TLS. What was read is kept, since whoever gets the connection has to see it, too.
 *
 *     feed -> null: more is needed
 *          -> the ClientHello; `bytes` is all that came, to be passed on
 *          -> throws: it is none
 *
 * T1. However the bytes are cut into chunks, and the message into records, the result is the same.
 * T2. At most MAX_BYTES are held.
 * T3. Malformed bytes are refused by an error of its own; nothing is read beyond what is there.
 */
export class ClientHelloReader {
  #held: Buffer = Buffer.allocUnsafe(2_048);
  #length = 0;
  /** The message's bytes without the records' headers; what stands before in `#held` has been looked at. */
  #message: Buffer = Buffer.allocUnsafe(2_048);
  #messageLength = 0;
  /** Where the next record begins. */
  #record = 0;

  /** All that came; valid until the next feed. */
  get bytes(): Uint8Array {
    return this.#held.subarray(0, this.#length);
  }

  feed(chunk: Uint8Array, start: number, end: number): ClientHello | null {
    const bytes = end - start;
    if (this.#length + bytes > this.#held.length) this.#held = grown(this.#held, this.#length, this.#length + bytes);
    this.#held.set(chunk.subarray(start, end), this.#length);
    this.#length += bytes;
    const complete = this.#takeRecords();
    if (complete) return parseClientHello(this.#message.subarray(HANDSHAKE_HEADER, this.#needed()));
    if (this.#length > MAX_BYTES) throw malformed(`it is longer than ${MAX_BYTES} bytes`);
    return null;
  }

  /** True when the message is complete. */
  #takeRecords(): boolean {
    const held = this.#held;
    for (;;) {
      const at = this.#record;
      const there = this.#length - at;
      if (there > 0 && held[at] !== HANDSHAKE) throw malformed("it does not begin with a handshake");
      if (there > 1 && held[at + 1] !== 3) throw malformed("its record's version is not known");
      if (there < RECORD_HEADER) return false;
      const length = held.readUInt16BE(at + 3);
      if (length === 0 || length > MAX_RECORD) throw malformed(`a record of ${length} bytes is not allowed`);
      if (there < RECORD_HEADER + length) return false;
      const needed = this.#messageLength + length;
      if (needed > this.#message.length) this.#message = grown(this.#message, this.#messageLength, needed);
      held.copy(this.#message, this.#messageLength, at + RECORD_HEADER, at + RECORD_HEADER + length);
      this.#messageLength = needed;
      this.#record = at + RECORD_HEADER + length;
      if (this.#message[0] !== CLIENT_HELLO) throw malformed("its first message is another one");
      if (needed < HANDSHAKE_HEADER) continue;
      if (this.#needed() > MAX_BYTES) throw malformed(`it is longer than ${MAX_BYTES} bytes`);
      if (needed >= this.#needed()) return true;
    }
  }

  #needed(): number {
    return HANDSHAKE_HEADER + this.#message.readUIntBE(1, 3);
  }
}

/** Reads forward within bounds; beyond them it throws. */
class Cursor {
  readonly #bytes: Buffer;
  #at: number;
  readonly #end: number;

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  number(size: 1 | 2): number {
    const at = this.#skip(size);
    return size === 1 ? this.#bytes[at] : this.#bytes.readUInt16BE(at);
  }

  /** What has its length before it. */
  part(lengthSize: 1 | 2): Cursor {
    const length = this.number(lengthSize);
    const at = this.#skip(length);
    return new Cursor(this.#bytes, at, at + length);
  }

  skip(length: number): void {
    this.#skip(length);
  }

  text(): string {
    return this.#bytes.toString("latin1", this.#at, this.#end);
  }

  #skip(length: number): number {
    const at = this.#at;
    if (at + length > this.#end) throw malformed("something in it reaches beyond its end");
    this.#at = at + length;
    return at;
  }
}

function parseClientHello(message: Buffer): ClientHello {
  const hello = new Cursor(message);
  if (hello.number(2) >> 8 !== 3) throw malformed("its version is not known");
  hello.skip(32); // random
  hello.part(1); // session id
  hello.part(2); // cipher suites
  hello.part(1); // compression methods
  let serverName = "";
  const alpn: string[] = [];
  if (hello.done) return { serverName, alpn };
  const extensions = hello.part(2);
  const seen = new Set<number>();
  while (!extensions.done) {
    const type = extensions.number(2);
    const extension = extensions.part(2);
    if (seen.has(type)) throw malformed(`extension ${type} is there twice`);
    seen.add(type);
    if (type === SERVER_NAME) serverName = serverNameOf(extension);
    else if (type === ALPN) for (const names = extension.part(2); !names.done; ) alpn.push(names.part(1).text());
  }
  return { serverName, alpn };
}

function serverNameOf(extension: Cursor): string {
  let found = "";
  for (const names = extension.part(2); !names.done; ) {
    const type = names.number(1);
    const name = names.part(2).text();
    if (type !== HOST_NAME) continue;
    if (found !== "") throw malformed("it names two servers");
    found = name.replace(/\.$/, "").toLowerCase();
    if (found.length > 253 || !/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(found))
      throw malformed("the server name in it is no host name");
  }
  return found;
}

function grown(buffer: Buffer, length: number, needed: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.max(needed, buffer.length * 2));
  buffer.copy(larger, 0, 0, length);
  return larger;
}

function malformed(why: string): WeftError {
  return new WeftError("invalid_argument", `no TLS ClientHello: ${why}`, { reason: "BAD_CLIENT_HELLO" });
}

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
const HANDSHAKE_HEADER = 4;
const MAX_RECORD = 16_384;
/** Those with post-quantum keys have under 2 kB; with tickets and many names, not ten times as much. */
const MAX_BYTES = 32_768;
const SERVER_NAME = 0;
const HOST_NAME = 0;
const ALPN = 16;
