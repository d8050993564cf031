/**
 * DER (ITU-T X.690), as much as certificates of weft's own profiles need: values are written, and headers are read to find one's way in a certificate that
 * somebody else made.
 */
export function derSequence(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

export function derSet(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x31, Buffer.concat(parts));
}

/** `[number]`, constructed, around what it holds. */
export function derContext(number: number, ...parts: readonly Uint8Array[]): Buffer {
  return tagged(0xa0 | number, Buffer.concat(parts));
}

/** `[number] IMPLICIT` in place of a primitive type's own tag. */
export function derImplicit(number: number, content: Uint8Array): Buffer {
  return tagged(0x80 | number, content);
}

/** An unsigned big-endian number of any length. */
export function derInteger(bytes: Uint8Array | number): Buffer {
  const raw = typeof bytes === "number" ? Buffer.from([bytes]) : Buffer.from(bytes);
  let start = 0;
  while (start < raw.length - 1 && raw[start] === 0) start++;
  const minimal = raw.subarray(start);
  return tagged(0x02, minimal[0] >= 0x80 ? Buffer.concat([Buffer.from([0]), minimal]) : minimal);
}

export function derBoolean(value: boolean): Buffer {
  return tagged(0x01, Buffer.from([value ? 0xff : 0]));
}

export function derNull(): Buffer {
  return tagged(0x05, Buffer.alloc(0));
}

export function derOctets(content: Uint8Array): Buffer {
  return tagged(0x04, content);
}

/** Whole bytes, or fewer bits where `unused` of the last one do not count. */
export function derBits(content: Uint8Array, unused = 0): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([unused]), content]));
}

export function derUtf8(text: string): Buffer {
  return tagged(0x0c, Buffer.from(text, "utf8"));
}

/** "2.5.29.17" */
export function derOid(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Buffer.from(bytes));
}

/** To the second; UTCTime up to 2049 and GeneralizedTime from then on, as RFC 5280 section 4.1.2.5 wants it. */
export function derTime(epochMs: number): Buffer {
  const text = new Date(epochMs).toISOString().replace(/[-:T]/g, "").slice(0, 14);
  const year = Number(text.slice(0, 4));
  return year < 2050 ? tagged(0x17, Buffer.from(`${text.slice(2)}Z`)) : tagged(0x18, Buffer.from(`${text}Z`));
}

/** One value that was read: its tag, where its content lies, and where it ends. */
export interface DerValue {
  readonly tag: number;
  readonly start: number;
  readonly contentStart: number;
  readonly end: number;
}

/** The value that begins at `at`; throws RangeError where it does not fit into `bytes`. */
export function readDer(bytes: Uint8Array, at: number): DerValue {
  const first = bytes[at + 1];
  if (first === undefined) throw new RangeError("DER value is cut off");
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 4 || first === 0x80) throw new RangeError("DER length is not supported");
  let length = first & 0x7f;
  if (lengthBytes > 0) {
    length = 0;
    for (let i = 0; i < lengthBytes; i++) length = length * 256 + (bytes[at + 2 + i] ?? 0);
  }
  const contentStart = at + 2 + lengthBytes;
  if (contentStart + length > bytes.length) throw new RangeError("DER value is cut off");
  return { tag: bytes[at], start: at, contentStart, end: contentStart + length };
}

function tagged(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const size: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) size.unshift(left & 0xff);
  return Buffer.concat([Buffer.from([tag, 0x80 | size.length, ...size]), content]);
}
