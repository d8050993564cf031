import { encodeName } from "./name.ts";
import { WireReader } from "./wire-reader.ts";

/** Messages as clients write and read them, for tests. */

export interface AskOptions {
  id?: number;
  type?: number;
  class?: number;
  /** Size in an OPT record. Default: none. */
  edns?: number;
}

export function ask(name: string, { id = 7, type = 1, class: kind = 1, edns }: AskOptions = {}): Uint8Array {
  const bytes = encodeName(name);
  if (bytes === null) throw new Error(`${name} is no name`);
  const opt = edns === undefined ? [] : [0, 0, 41, edns >> 8, edns & 0xff, 0, 0, 0, 0, 0, 0];
  const counts = [0, 1, 0, 0, 0, 0, 0, edns === undefined ? 0 : 1];
  const head = [id >> 8, id & 0xff, 0x01, 0x00, ...counts];
  return Uint8Array.from([...head, ...bytes, type >> 8, type & 0xff, kind >> 8, kind & 0xff, ...opt]);
}

export interface ReadRecord {
  readonly name: string;
  readonly type: number;
  readonly ttl: number;
  /** "127.0.0.1", "0 1 8080 a.weft.", otherwise hexadecimal. */
  readonly data: string;
}

export interface ReadMessage {
  readonly id: number;
  readonly rcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly question: string;
  readonly answers: readonly ReadRecord[];
  readonly authorities: readonly ReadRecord[];
  readonly additionals: readonly ReadRecord[];
  /** Size in the OPT record; null without one. */
  readonly edns: number | null;
}

/** Throws for what is no whole message. */
export function readMessage(bytes: Uint8Array): ReadMessage {
  const reader = new WireReader(bytes);
  const id = reader.u16();
  const flags = reader.u16();
  const [questions, ...counts] = [reader.u16(), reader.u16(), reader.u16(), reader.u16()];
  let question = "";
  for (let i = 0; i < questions; i++) {
    question = reader.name();
    reader.skip(4);
  }
  let edns: number | null = null;
  let extended = 0;
  const [answers, authorities, additionals] = counts.map((count) => {
    const records: ReadRecord[] = [];
    for (let i = 0; i < count; i++) {
      const name = reader.name();
      const type = reader.u16();
      const kind = reader.u16();
      const ttl = reader.u32();
      const length = reader.u16();
      const data = readData(reader, type, length);
      if (type === 41) {
        edns = kind;
        extended = ttl >>> 24;
      } else records.push({ name, type, ttl, data });
    }
    return records;
  });
  if (reader.failed || reader.at !== bytes.length)
    throw new Error(`no whole message: ${Buffer.from(bytes).toString("hex")}`);
  const authoritative = (flags & 0x0400) !== 0;
  const truncated = (flags & 0x0200) !== 0;
  return {
    id,
    rcode: (flags & 0xf) | (extended << 4),
    authoritative,
    truncated,
    question,
    answers,
    authorities,
    additionals,
    edns,
  };
}

function readData(reader: WireReader, type: number, length: number): string {
  const end = reader.at + length;
  const bytes = reader.bytes.subarray(reader.at, end);
  let data = Buffer.from(bytes).toString("hex");
  if (type === 1) data = bytes.join(".");
  if (type === 33) data = `${reader.u16()} ${reader.u16()} ${reader.u16()} ${reader.name()}`;
  if (reader.at !== end) reader.skip(end - reader.at);
  return data;
}
