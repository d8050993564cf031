import { createHash } from "node:crypto";

/** A body of so many bytes, the same wherever it is made. */
export function bodyOf(bytes: number): string {
  return PATTERN.repeat(Math.ceil(bytes / PATTERN.length)).slice(0, bytes);
}

/** What is said of a body, so that one that was cut, or sent twice over, is told. */
export function digestOf(chunks: readonly Uint8Array[]): string {
  const all = Buffer.concat(chunks);
  return all.length === 0 ? "" : `body ${all.length} ${createHash("sha256").update(all).digest("hex").slice(0, 8)}`;
}

/** weft.test.v1.TrialRequest { name } in gRPC's frame. */
export function messageOf(bytes: number): Buffer {
  return framed(Buffer.from(bodyOf(bytes)));
}

/** A message whose first field is this text, in gRPC's frame: empty texts are left out, as codecs do. */
export function framed(text: Buffer): Buffer {
  const size: number[] = [];
  for (let left = text.length; size.length === 0 || left > 0; left >>>= 7)
    size.push(left > 127 ? (left & 127) | 128 : left);
  const message = text.length === 0 ? text : Buffer.concat([Buffer.from([0x0a, ...size]), text]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const PATTERN = "a body that every attempt must bring whole, in its order and once: 0123456789abcdef. ";
