import { CLASS, MAX_MESSAGE_BYTES, MAX_UDP_BYTES, PLAIN_UDP_BYTES, RCODE, TYPE } from "../wire/dns/constants.ts";
import { parseQuery, type Query } from "../wire/dns/query.ts";
import { ANY_REFUSED, wireName } from "../wire/dns/record.ts";
import { ResponseWriter } from "../wire/dns/response-writer.ts";
import type { NameNode, ServiceRecord } from "./service-names.ts";
import type { Zone } from "./zone.ts";

/**
 * Answers queries from a zone, by its authority alone: no recursion, no forwarding.
 *
 *     below weft., of that type        the records, in turns     NOERROR
 *     below weft., of other types      SOA (RFC 2308)            NOERROR
 *     below weft., no such name        SOA                       NXDOMAIN (and nothing is below it: RFC 8020)
 *     elsewhere, zone transfers                                  REFUSED
 *
 * N1 whatever the bytes, nothing is thrown;  N2 an answer over UDP is never larger than the client takes, nor than 1,232 bytes.
 */
export class NameServer {
  readonly #zone: Zone;
  readonly #writer = new ResponseWriter();

  constructor(zone: Zone) {
    this.#zone = zone;
  }

  /** The answer, valid until the next call; null: none is given. */
  answer(bytes: Uint8Array, over: "udp" | "tcp"): Uint8Array | null {
    const query = parseQuery(bytes);
    if (query === null) return null;
    const writer = this.#writer;
    writer.begin(query, bytes, over === "tcp" ? MAX_MESSAGE_BYTES : udpLimit(query));
    if (query.rcode !== RCODE.NOERROR) return writer.end(query.rcode, false);
    const isTransfer = query.type === TYPE.AXFR || query.type === TYPE.IXFR;
    const isInternet = query.class === CLASS.IN || query.class === CLASS.ANY;
    const found = isInternet && !isTransfer ? this.#zone.find(query.name) : "outside";
    if (found === "outside") return writer.end(RCODE.REFUSED, false);
    if (found === "unknown") return this.#negative(RCODE.NXDOMAIN);
    const answered = found === "apex" ? this.#apex(query.type) : this.#records(found, query.type);
    return answered ? writer.end(RCODE.NOERROR, true) : this.#negative(RCODE.NOERROR);
  }

  #apex(type: number): boolean {
    const { ttl, soa, ns } = this.#zone;
    if (type === TYPE.SOA) return this.#writer.record("answer", null, ttl, soa);
    if (type === TYPE.NS) return this.#writer.record("answer", null, ttl, ns);
    return type === TYPE.ANY && this.#writer.record("answer", null, ttl, ANY_REFUSED);
  }

  /** False: there are none of that type. */
  #records(node: NameNode, type: number): boolean {
    const { ttl } = this.#zone;
    if (type === TYPE.ANY) return this.#writer.record("answer", null, ttl, ANY_REFUSED);
    if (type === TYPE.SRV) return this.#services(node);
    const set = type === TYPE.A ? node.a : type === TYPE.AAAA ? node.aaaa : NONE;
    if (set.length === 0) return false;
    const first = node.turn++ % set.length;
    const count = Math.min(set.length, MAX_ANSWERS);
    for (let i = 0; i < count; i++) if (!this.#writer.record("answer", null, ttl, set[(first + i) % set.length])) break;
    return true;
  }

  #services(node: NameNode): boolean {
    const { srv } = node;
    if (srv.length === 0) return false;
    const { ttl } = this.#zone;
    const first = node.turn++ % srv.length;
    const count = Math.min(srv.length, MAX_ANSWERS);
    const written: ServiceRecord[] = [];
    for (let i = 0; i < count; i++) {
      const record = srv[(first + i) % srv.length];
      if (!this.#writer.record("answer", null, ttl, record.data)) return true;
      written.push(record);
    }
    for (const { target, address } of written)
      if (address !== null && !this.#writer.record("additional", target, ttl, address)) break;
    return true;
  }

  #negative(rcode: number): Uint8Array {
    this.#writer.record("authority", APEX, this.#zone.negativeTtl, this.#zone.soa);
    return this.#writer.end(rcode, true);
  }
}

function udpLimit({ edns }: Query): number {
  if (edns === null) return PLAIN_UDP_BYTES;
  return Math.min(Math.max(edns.payloadBytes, PLAIN_UDP_BYTES), MAX_UDP_BYTES);
}

const APEX = wireName("weft.");
/** Of one answer, also over TCP: of larger services each gets another part in turn. */
const MAX_ANSWERS = 512;
const NONE: readonly [] = [];
