import { addressBytes } from "../core/network.ts";
import { CLASS, MAX_MESSAGE_BYTES, MAX_UDP_BYTES, PLAIN_UDP_BYTES, RCODE, TYPE } from "../wire/dns/constants.ts";
import { nameKey } from "../wire/dns/name.ts";
import { parseQuery, type Query } from "../wire/dns/query.ts";
import { ANY_REFUSED, addressData, soaData, wireName } from "../wire/dns/record.ts";
import { ResponseWriter } from "../wire/dns/response-writer.ts";

export interface VirtualNameServerOptions {
  /** The virtual address of a name ("orders.weft"); null: there is none left, or none can be listened on. Must not reject. */
  addressOf(name: string): Promise<string | null>;
  /** The answer to a query for another name, as it came from a resolver; null: none answered. Must not reject. Absent: such queries are refused. */
  forward?: (query: Uint8Array, over: "udp" | "tcp") => Promise<Uint8Array | null>;
}

/**
 * Answers an application's queries: names below weft. have virtual addresses, others go on to a resolver.
 *
 *     orders.weft., v2.orders.weft.    A: its virtual address; other types: none         NOERROR
 *     no address is left               (the application asks again later)                SERVFAIL
 *     below weft., but no name of it                                                     NXDOMAIN
 *     elsewhere                        as the resolver answers; refused without one
 */
export class VirtualNameServer {
  readonly #options: VirtualNameServerOptions;
  readonly #writer = new ResponseWriter();

  constructor(options: VirtualNameServerOptions) {
    this.#options = options;
  }

  /** Null: none is given. Never rejects, whatever the bytes. */
  async answer(bytes: Uint8Array, over: "udp" | "tcp"): Promise<Uint8Array | null> {
    const query = parseQuery(bytes);
    if (query === null) return null;
    if (query.rcode !== RCODE.NOERROR) return this.#end(query, bytes, over, query.rcode, null);
    const name = nameKey(query.name);
    if (name !== DOMAIN && !name.endsWith(`.${DOMAIN}`)) return this.#elsewhere(query, bytes, over);
    if (query.class !== CLASS.IN && query.class !== CLASS.ANY)
      return this.#end(query, bytes, over, RCODE.REFUSED, null);
    if (name === DOMAIN) return this.#end(query, bytes, over, RCODE.NOERROR, null);
    if (!NAME.test(name)) return this.#end(query, bytes, over, RCODE.NXDOMAIN, null);
    if (query.type !== TYPE.A) return this.#end(query, bytes, over, RCODE.NOERROR, null);
    const address = await this.#options.addressOf(name.slice(0, -1));
    return this.#end(query, bytes, over, address === null ? RCODE.SERVFAIL : RCODE.NOERROR, address);
  }

  async #elsewhere(query: Query, bytes: Uint8Array, over: "udp" | "tcp"): Promise<Uint8Array> {
    const { forward } = this.#options;
    if (forward === undefined || query.type === TYPE.AXFR || query.type === TYPE.IXFR)
      return this.#end(query, bytes, over, RCODE.REFUSED, null);
    const answer = await forward(bytes, over);
    return answer ?? this.#end(query, bytes, over, RCODE.SERVFAIL, null);
  }

  #end(query: Query, bytes: Uint8Array, over: "udp" | "tcp", rcode: number, address: string | null): Uint8Array {
    const writer = this.#writer;
    writer.begin(query, bytes, over === "tcp" ? MAX_MESSAGE_BYTES : udpLimit(query));
    const own = address === null ? null : addressBytes(address);
    if (own !== null) writer.record("answer", null, TTL, addressData(own));
    else if (query.type === TYPE.ANY && rcode === RCODE.NOERROR) writer.record("answer", null, TTL, ANY_REFUSED);
    else if (rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN) writer.record("authority", APEX, 1, SOA);
    // The writer's buffer is another answer's next.
    return writer.end(rcode, rcode !== RCODE.REFUSED && rcode !== RCODE.SERVFAIL).slice();
  }
}

const DOMAIN = "weft.";
/** A service's name, perhaps with a version before it. */
const NAME = /^(?:[a-z0-9](?:[a-z0-9._-]{0,100}[a-z0-9])?\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.weft\.$/;
const APEX = wireName(DOMAIN);
const SOA = soaData(wireName("ns.weft."), wireName("hostmaster.weft."), 1, 1);
/** Seconds. An address is a name's for as long as its sidecar runs; after that it may be another's. */
const TTL = 5;

function udpLimit({ edns }: Query): number {
  if (edns === null) return PLAIN_UDP_BYTES;
  return Math.min(Math.max(edns.payloadBytes, PLAIN_UDP_BYTES), MAX_UDP_BYTES);
}
