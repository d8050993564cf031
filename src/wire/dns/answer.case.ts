import { TYPE } from "./constants.ts";
import { encodeName } from "./name.ts";

/** Answers as servers make them, for tests: every byte of them can be chosen. */

/** "web.example." -> [type, seconds, data] */
export type Record = readonly [name: string, type: number, ttl: number, data: Uint8Array];

export interface AnswerParts {
  readonly rcode?: number;
  readonly truncated?: boolean;
  /** Default: the query's. */
  readonly id?: number;
  /** Default: as it stands in the query; null: none. */
  readonly question?: Uint8Array | null;
  readonly answers?: readonly Record[];
  readonly authorities?: readonly Record[];
  readonly additionals?: readonly Record[];
}

/** The answer to a query of `encodeQuery`. */
export function answerTo(query: Uint8Array, parts: AnswerParts = {}): Uint8Array {
  const { rcode = 0, truncated = false, answers = [], authorities = [], additionals = [] } = parts;
  const question = parts.question === undefined ? questionOf(query) : parts.question;
  const id = parts.id ?? (query[0] << 8) | query[1];
  const counts = [question === null ? 0 : 1, answers.length, authorities.length, additionals.length];
  const head = [
    id >> 8,
    id & 0xff,
    truncated ? 0x82 : 0x80,
    0x80 | rcode,
    ...counts.flatMap((count) => [count >> 8, count & 0xff]),
  ];
  const records = [...answers, ...authorities, ...additionals].flatMap(([name, type, ttl, data]) => [
    ...wire(name),
    ...[type >> 8, type & 0xff, 0, 1, ttl >>> 24, (ttl >> 16) & 0xff, (ttl >> 8) & 0xff, ttl & 0xff],
    ...[data.length >> 8, data.length & 0xff, ...data],
  ]);
  return Uint8Array.from([...head, ...(question ?? []), ...records]);
}

export function questionOf(query: Uint8Array): Uint8Array {
  let at = 12;
  while (query[at] !== 0) at += query[at] + 1;
  return query.subarray(12, at + 5);
}

/** The name and type that a query asks for, the name in lower case. */
export function askedBy(query: Uint8Array): { readonly name: string; readonly type: number } {
  let name = "";
  let at = 12;
  for (; query[at] !== 0; at += query[at] + 1)
    name += `${Buffer.from(query.subarray(at + 1, at + 1 + query[at])).toString()}.`;
  return { name: name.toLowerCase(), type: (query[at + 1] << 8) | query[at + 2] };
}

export const a = (name: string, address: string, ttl = 60): Record => [
  name,
  TYPE.A,
  ttl,
  Uint8Array.from(address.split("."), Number),
];
export const cname = (name: string, target: string, ttl = 60): Record => [name, TYPE.CNAME, ttl, wire(target)];
export const srv = (name: string, priority: number, weight: number, port: number, target: string, ttl = 60): Record => [
  name,
  TYPE.SRV,
  ttl,
  Uint8Array.from([priority >> 8, priority, weight >> 8, weight, port >> 8, port, ...wire(target)]),
];
export const soa = (name: string, minimum: number, ttl = 3_600): Record => {
  const numbers = new DataView(new ArrayBuffer(20));
  numbers.setUint32(16, minimum);
  return [
    name,
    TYPE.SOA,
    ttl,
    Uint8Array.from([...wire("ns.test."), ...wire("admin.test."), ...new Uint8Array(numbers.buffer)]),
  ];
};

function wire(name: string): Uint8Array {
  const bytes = encodeName(name);
  if (bytes === null) throw new Error(`${name} is no name`);
  return bytes;
}
