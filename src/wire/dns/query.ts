import { HEADER_BYTES, RCODE, TYPE } from "./constants.ts";
import { WireReader } from "./wire-reader.ts";

/** What a client asks. Made by parseQuery. */
export interface Query {
  readonly id: number;
  /** NOERROR: to be answered. Otherwise what is wrong with it, as an answer says it; then name and type may be missing. */
  readonly rcode: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  readonly checkingDisabled: boolean;
  /** In the case in which it was asked; "" when the question could not be read. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Where the question ends in the message; HEADER_BYTES when there is none. */
  readonly questionEnd: number;
  /** EDNS(0), RFC 6891; null when the client does not speak it. */
  readonly edns: { readonly payloadBytes: number; readonly dnssecOk: boolean } | null;
}

/**
 * Reads a query as strictly as a server should: one question (RFC 9619), counts that hold, one OPT record at most, nothing behind the last record. Null for
 * what must not be answered: less than a header, and answers (two servers would answer each other for ever). Never throws.
 */
export function parseQuery(bytes: Uint8Array): Query | null {
  if (bytes.length < HEADER_BYTES) return null;
  const reader = new WireReader(bytes);
  const id = reader.u16();
  const flags = reader.u16();
  if ((flags & QR) !== 0) return null;
  const opcode = (flags >> 11) & 0xf;
  const questions = reader.u16();
  const answers = reader.u16();
  const authorities = reader.u16();
  const additionals = reader.u16();
  const query = {
    id,
    rcode: RCODE.NOERROR as number,
    opcode,
    recursionDesired: (flags & RD) !== 0,
    checkingDisabled: (flags & CD) !== 0,
    name: "",
    type: 0,
    class: 0,
    questionEnd: HEADER_BYTES,
    edns: null as Query["edns"],
  };
  const refused = (rcode: number): Query => {
    query.rcode = rcode;
    return query;
  };
  if (opcode !== 0) return refused(RCODE.NOTIMP);
  const records = answers + authorities + additionals;
  if (questions !== 1 || records > MAX_RECORDS) return refused(RCODE.FORMERR);
  const name = reader.name();
  const type = reader.u16();
  const kind = reader.u16();
  if (reader.failed) return refused(RCODE.FORMERR);
  query.name = name;
  query.type = type;
  query.class = kind;
  query.questionEnd = reader.at;
  let version = 0;
  for (let i = 0; i < records; i++) {
    const start = reader.at;
    reader.name();
    const recordType = reader.u16();
    const payloadBytes = reader.u16();
    const extended = reader.u32();
    reader.skip(reader.u16());
    if (reader.failed) return refused(RCODE.FORMERR);
    if (recordType !== TYPE.OPT) continue;
    // Only once, only among the additional records, only with the root as its name (RFC 6891 section 6.1).
    if (query.edns !== null || i < answers + authorities || bytes[start] !== 0) return refused(RCODE.FORMERR);
    query.edns = { payloadBytes, dnssecOk: (extended & DNSSEC_OK) !== 0 };
    version = (extended >>> 16) & 0xff;
  }
  if (reader.at !== bytes.length) return refused(RCODE.FORMERR);
  return version === 0 ? query : refused(RCODE.BADVERS);
}

/** A query has an OPT record, perhaps a signature (TSIG, SIG(0)), and for IXFR the zone's SOA. */
const MAX_RECORDS = 8;
const QR = 0x8000;
const RD = 0x0100;
const CD = 0x0010;
const DNSSEC_OK = 0x8000;
