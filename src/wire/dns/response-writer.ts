import { HEADER_BYTES, MAX_MESSAGE_BYTES, MAX_UDP_BYTES, TYPE } from "./constants.ts";
import { nameKey, suffixesOf } from "./name.ts";
import type { Query } from "./query.ts";
import { RECORD_CLASS, type RecordData, type WireName } from "./record.ts";

export type Section = "answer" | "authority" | "additional";

/**
 * Writes answers, one after the other, into one buffer. The question stands in an answer as it was asked, in its case, and owners point into it.
 *
 *     begin(query, bytes, limit) -> record(...)* -> end(rcode): the answer, valid until the next begin()
 *
 * W1 an answer never has more than `limit` bytes;  W2 a record is in it whole or not at all;  W3 when an answer or authority record did not fit, TC is set
 * (RFC 2181 section 9: a missing additional record is no truncation);  W4 an OPT record is there exactly when the query had one.
 */
export class ResponseWriter {
  readonly #out = new Uint8Array(MAX_MESSAGE_BYTES);
  readonly #view = new DataView(this.#out.buffer);
  readonly #counts = { answer: 0, authority: 0, additional: 0 };
  /** Where a name, or the end of one, stands already. */
  readonly #offsets = new Map<string, number>();
  #query: Query | null = null;
  #at = 0;
  /** What records may fill: the OPT record has its place kept. */
  #limit = 0;
  #truncated = false;
  #questionKnown = false;

  begin(query: Query, bytes: Uint8Array, limit: number): void {
    this.#query = query;
    this.#counts.answer = this.#counts.authority = this.#counts.additional = 0;
    this.#offsets.clear();
    this.#truncated = false;
    this.#questionKnown = false;
    this.#at = query.questionEnd;
    for (let i = HEADER_BYTES; i < query.questionEnd; i++) this.#out[i] = bytes[i];
    this.#limit = limit - (query.edns === null ? 0 : OPT_BYTES);
  }

  /** `owner` null: the name that was asked. False when it did not fit. */
  record(section: Section, owner: WireName | null, ttl: number, data: RecordData): boolean {
    const start = this.#at;
    if (owner === null) {
      if (start + 2 > this.#limit) return this.#full(section, start);
      this.#view.setUint16(start, 0xc000 | HEADER_BYTES);
      this.#at += 2;
    } else if (!this.#name(owner)) return this.#full(section, start);
    const at = this.#at;
    const { bytes } = data;
    if (at + 10 + bytes.length > this.#limit) return this.#full(section, start);
    this.#view.setUint16(at, data.type);
    this.#view.setUint16(at + 2, RECORD_CLASS);
    this.#view.setUint32(at + 4, ttl);
    this.#view.setUint16(at + 8, bytes.length);
    this.#out.set(bytes, at + 10);
    if (data.inner !== null) this.#rememberLabels(data.inner.name.suffixes, at + 10 + data.inner.at);
    this.#at = at + 10 + bytes.length;
    this.#counts[section]++;
    return true;
  }

  /** `authoritative`: the AA bit. */
  end(rcode: number, authoritative: boolean): Uint8Array {
    const query = this.#query;
    if (query === null) return this.#out.subarray(0, 0);
    if (query.edns !== null) this.#opt(rcode, query.edns.dnssecOk);
    const view = this.#view;
    view.setUint16(0, query.id);
    const flags =
      QR |
      (query.opcode << 11) |
      (authoritative ? AA : 0) |
      (this.#truncated ? TC : 0) |
      (query.recursionDesired ? RD : 0) |
      (query.checkingDisabled ? CD : 0);
    view.setUint16(2, flags | (rcode & 0xf));
    view.setUint16(4, query.questionEnd > HEADER_BYTES ? 1 : 0);
    view.setUint16(6, this.#counts.answer);
    view.setUint16(8, this.#counts.authority);
    view.setUint16(10, this.#counts.additional);
    return this.#out.subarray(0, this.#at);
  }

  #opt(rcode: number, dnssecOk: boolean): void {
    const at = this.#at;
    this.#out[at] = 0;
    this.#view.setUint16(at + 1, TYPE.OPT);
    this.#view.setUint16(at + 3, MAX_UDP_BYTES);
    this.#view.setUint32(at + 5, ((rcode >> 4) << 24) | (dnssecOk ? DNSSEC_OK : 0));
    this.#view.setUint16(at + 9, 0);
    this.#at = at + OPT_BYTES;
    this.#counts.additional++;
  }

  /** The longest end of it that stands already is pointed to. False when it did not fit. */
  #name({ bytes, suffixes }: WireName): boolean {
    if (!this.#questionKnown) this.#rememberQuestion();
    let from = 0;
    let known: number | undefined;
    for (const suffix of suffixes) {
      known = this.#offsets.get(suffix);
      if (known !== undefined) break;
      from += bytes[from] + 1;
    }
    const length = from + (known === undefined ? 1 : 2);
    if (this.#at + length > this.#limit) return false;
    this.#out.set(bytes.subarray(0, from + 1), this.#at);
    if (known !== undefined) this.#view.setUint16(this.#at + from, 0xc000 | known);
    this.#rememberLabels(suffixes, this.#at);
    this.#at += length;
    return true;
  }

  #rememberQuestion(): void {
    this.#questionKnown = true;
    const name = this.#query?.name ?? "";
    if (name !== "") this.#rememberLabels(suffixesOf(nameKey(name)), HEADER_BYTES);
  }

  /** Those of a name that stands at `at`; from one that is known on, all are. */
  #rememberLabels(suffixes: readonly string[], at: number): void {
    for (const suffix of suffixes) {
      if (at > MAX_POINTER || this.#offsets.has(suffix)) return;
      this.#offsets.set(suffix, at);
      at += this.#out[at] + 1;
    }
  }

  #full(section: Section, start: number): false {
    // Names within what is taken back are forgotten with it.
    for (const [key, at] of this.#offsets) if (at >= start) this.#offsets.delete(key);
    this.#at = start;
    if (section !== "additional") this.#truncated = true;
    return false;
  }
}

const OPT_BYTES = 11;
const MAX_POINTER = 0x3fff;
const QR = 0x8000;
const AA = 0x0400;
const TC = 0x0200;
const RD = 0x0100;
const CD = 0x0010;
const DNSSEC_OK = 0x8000;
