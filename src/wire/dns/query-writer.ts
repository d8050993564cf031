import { CLASS, HEADER_BYTES, MAX_UDP_BYTES, TYPE } from "./constants.ts";
import { encodeName } from "./name.ts";

export interface QueryOptions {
  readonly id: number;
  /** "web.example." in the case in which it is to be asked. */
  readonly name: string;
  readonly type: number;
  /** Whether it says that larger answers than 512 bytes are taken (EDNS(0), RFC 6891). */
  readonly edns: boolean;
}

/** A question as a client asks it of a resolver: recursion is wanted. Null for a name that is none. */
export function encodeQuery({ id, name, type, edns }: QueryOptions): Uint8Array | null {
  const encoded = encodeName(name);
  if (encoded === null) return null;
  const bytes = new Uint8Array(HEADER_BYTES + encoded.length + 4 + (edns ? OPT_BYTES : 0));
  bytes.set([id >> 8, id & 0xff, RD, 0, 0, 1, 0, 0, 0, 0, 0, edns ? 1 : 0]);
  bytes.set(encoded, HEADER_BYTES);
  let at = HEADER_BYTES + encoded.length;
  bytes.set([type >> 8, type & 0xff, 0, CLASS.IN], at);
  at += 4;
  if (edns) bytes.set([0, 0, TYPE.OPT, MAX_UDP_BYTES >> 8, MAX_UDP_BYTES & 0xff, 0, 0, 0, 0, 0, 0], at);
  return bytes;
}

/** The first byte of the flags. */
const RD = 0x01;
const OPT_BYTES = 11;
