import { CLASS, HEADER_BYTES, TYPE } from "./constants.ts";
import { nameKey } from "./name.ts";
import { WireReader } from "./wire-reader.ts";

/** What a server answers. Made by parseAnswer. */
export interface Answer {
  readonly id: number;
  /** With the upper bits that an OPT record carries. */
  readonly rcode: number;
  readonly truncated: boolean;
  /** In the case in which it came; null when the server repeats none. */
  readonly question: { readonly name: string; readonly type: number; readonly class: number } | null;
  readonly answers: readonly AnswerRecord[];
  readonly authorities: readonly AnswerRecord[];
  readonly additionals: readonly AnswerRecord[];
}

/** A record of class IN. Of types that are not read `data` is null. */
export interface AnswerRecord {
  /** In lower case. */
  readonly name: string;
  readonly type: number;
  /** Seconds; one with the highest bit set is 0 (RFC 2181 section 8). */
  readonly ttl: number;
  readonly data: RecordValue | null;
}

export type RecordValue =
  | { readonly kind: "address"; readonly address: string }
  | { readonly kind: "name"; readonly target: string }
  | {
      readonly kind: "srv";
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    }
  | { readonly kind: "soa"; readonly minimum: number };

/** Reads an answer whole: counts that hold, data that are of their length, nothing behind the last record. Null for anything else. Never throws. */
export function parseAnswer(bytes: Uint8Array): Answer | null {
  if (bytes.length < HEADER_BYTES) return null;
  const reader = new WireReader(bytes);
  const id = reader.u16();
  const flags = reader.u16();
  const questions = reader.u16();
  const counts = [reader.u16(), reader.u16(), reader.u16()];
  if ((flags & QR) === 0 || ((flags >> 11) & 0xf) !== 0 || questions > 1) return null;
  let question: Answer["question"] = null;
  if (questions === 1) question = { name: reader.name(), type: reader.u16(), class: reader.u16() };
  let extended = 0;
  const sections = counts.map((count) => {
    const records: AnswerRecord[] = [];
    for (let i = 0; i < count && !reader.failed; i++) {
      const name = nameKey(reader.name());
      const type = reader.u16();
      const kind = reader.u16();
      const ttl = reader.u32();
      const length = reader.u16();
      const end = reader.at + length;
      if (type === TYPE.OPT) extended = Math.floor(ttl / 0x100_0000);
      const data = kind === CLASS.IN ? readValue(reader, type, length) : null;
      if (reader.at > end || end > bytes.length) reader.failed = true;
      if (data !== null && reader.at !== end) reader.failed = true;
      reader.at = end;
      if (kind === CLASS.IN && type !== TYPE.OPT) records.push({ name, type, ttl: ttl >= 0x8000_0000 ? 0 : ttl, data });
    }
    return records;
  });
  // What does not fit into a datagram may be cut anywhere: it is asked for again over TCP.
  const truncated = (flags & TC) !== 0;
  if ((reader.failed || reader.at !== bytes.length) && !truncated) return null;
  const [answers, authorities, additionals] = sections;
  return { id, rcode: (flags & 0xf) | (extended << 4), truncated, question, answers, authorities, additionals };
}

function readValue(reader: WireReader, type: number, length: number): RecordValue | null {
  const { bytes, at } = reader;
  if ((type === TYPE.A && length === 4) || (type === TYPE.AAAA && length === 16)) {
    reader.skip(length);
    return reader.failed ? null : { kind: "address", address: addressText(bytes.subarray(at, at + length)) };
  }
  if (type === TYPE.CNAME) return { kind: "name", target: nameKey(reader.name()) };
  if (type === TYPE.SRV)
    return {
      kind: "srv",
      priority: reader.u16(),
      weight: reader.u16(),
      port: reader.u16(),
      target: nameKey(reader.name()),
    };
  if (type === TYPE.SOA) {
    reader.name();
    reader.name();
    reader.skip(16);
    return { kind: "soa", minimum: reader.u32() };
  }
  return null;
}

/** "10.0.0.7", "fd00::7": the longest run of zeros is left out (RFC 5952). */
function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] << 8) | bytes[2 * i + 1]).toString(16));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === "0") length++;
    if (length > best.length) best = { start, length };
  }
  if (best.start < 0) return groups.join(":");
  return `${groups.slice(0, best.start).join(":")}::${groups.slice(best.start + best.length).join(":")}`;
}

const QR = 0x8000;
const TC = 0x0200;
