import { randomInt } from "node:crypto";
import { hostPort } from "../../core/address.ts";
import { WeftError } from "../../core/errors.ts";
import { askDnsServer } from "../../net/dns-exchange.ts";
import { type Answer, type AnswerRecord, parseAnswer, type RecordValue } from "../../wire/dns/answer.ts";
import { CLASS, RCODE } from "../../wire/dns/constants.ts";
import { nameKey } from "../../wire/dns/name.ts";
import { encodeQuery } from "../../wire/dns/query-writer.ts";

/** What is at a name. */
export interface Resolution {
  /** Data of the type that was asked for, at the end of the chain of CNAMEs. Empty: there is no such name, or nothing of that type. */
  readonly values: readonly RecordValue[];
  /** How long this may be kept, s: the shortest TTL on the way, or what the zone says of what is not there (RFC 2308). */
  readonly ttl: number;
  /** Addresses that came along, by name. */
  readonly addresses: ReadonlyMap<string, readonly { readonly address: string; readonly ttl: number }[]>;
}

export interface ResolverOptions {
  servers: readonly { readonly host: string; readonly port: number }[];
  /** For one answer, ms. Default 1,500. */
  timeoutMs?: number;
  /** Default: over sockets. */
  exchange?: typeof askDnsServer;
  /** From 0 to `below` - 1, not to be guessed. Default: of node:crypto. */
  randomBelow?: (below: number) => number;
}

/**
 * Asks servers for names, over UDP with EDNS(0), and over TCP where an answer does not fit. Each question has a random id, a port and a mixture of upper and lower case of its own, and
 * an answer that does not repeat them is none. A server that does not answer, or answers with garbage or an error, is left for the next.
 */
export class DnsResolver {
  readonly #servers: ResolverOptions["servers"];
  readonly #timeoutMs: number;
  readonly #exchange: typeof askDnsServer;
  readonly #randomBelow: (below: number) => number;
  /** The one that answered last. */
  #preferred = 0;
  /** Servers that do not understand EDNS(0). */
  readonly #plain = new Set<number>();

  constructor(options: ResolverOptions) {
    this.#servers = options.servers;
    this.#timeoutMs = options.timeoutMs ?? 1_500;
    this.#exchange = options.exchange ?? askDnsServer;
    this.#randomBelow = options.randomBelow ?? ((below) => randomInt(below));
  }

  /** Rejects `unavailable`, DNS_AWAY when no server answers, BAD_DNS_DATA for a chain that does not end. */
  async resolve(name: string, type: number): Promise<Resolution> {
    let asked = nameKey(name);
    let ttl = Number.POSITIVE_INFINITY;
    const seen = new Set([asked]);
    for (;;) {
      const answer = await this.#ask(asked, type);
      for (;;) {
        const records = answer.answers.filter(
          (record) => record.name === asked && record.type === type && record.data !== null,
        );
        if (records.length > 0) {
          for (const record of records) ttl = Math.min(ttl, record.ttl);
          const values = records.map(({ data }) => data).filter((data) => data !== null);
          return { values, ttl, addresses: addressesOf(answer) };
        }
        const alias = answer.answers.find((record) => record.name === asked && record.data?.kind === "name");
        if (alias?.data?.kind !== "name") break;
        ttl = Math.min(ttl, alias.ttl);
        asked = alias.data.target;
        if (seen.has(asked) || seen.size > MAX_ALIASES)
          throw new WeftError("unavailable", `${name}: its CNAMEs go in a circle, or more than ${MAX_ALIASES} deep`, {
            reason: "BAD_DNS_DATA",
          });
        seen.add(asked);
      }
      // The chain has left what this answer holds: who is asked for its end may be somebody else's zone.
      if (asked !== nameKey(answer.question?.name ?? "") && answer.rcode === RCODE.NOERROR && !hasSoa(answer)) continue;
      return { values: [], ttl: Math.min(ttl, negativeTtl(answer)), addresses: NO_ADDRESSES };
    }
  }

  async #ask(name: string, type: number): Promise<Answer> {
    const problems: string[] = [];
    for (let i = 0; i < this.#servers.length; i++) {
      const index = (this.#preferred + i) % this.#servers.length;
      const answer = await this.#askServer(index, name, type);
      if (typeof answer !== "string") {
        this.#preferred = index;
        return answer;
      }
      const { host, port } = this.#servers[index];
      problems.push(`${hostPort(host, port)} ${answer}`);
    }
    throw new WeftError("unavailable", `${name} cannot be looked up: ${problems.join("; ")}`, { reason: "DNS_AWAY" });
  }

  /** A text says why there is none. */
  async #askServer(index: number, name: string, type: number): Promise<Answer | string> {
    for (;;) {
      const edns = !this.#plain.has(index);
      const mixed = this.#mixCase(name);
      let answer = await this.#exchangeOne(index, mixed, type, edns, "udp");
      if (typeof answer === "string") return answer;
      // Cut, or from a server that does not keep the case: what comes over TCP nobody else can send.
      if (answer.truncated || (answer.question !== null && answer.question.name !== mixed)) {
        answer = await this.#exchangeOne(index, mixed, type, edns, "tcp");
        if (typeof answer === "string") return answer;
        if (answer.truncated) return "cuts its answers over TCP";
      }
      if (edns && (answer.rcode === RCODE.FORMERR || answer.rcode === RCODE.NOTIMP || answer.rcode === RCODE.BADVERS)) {
        this.#plain.add(index);
        continue;
      }
      if (answer.rcode !== RCODE.NOERROR && answer.rcode !== RCODE.NXDOMAIN)
        return `answers ${RCODE_NAMES[answer.rcode] ?? answer.rcode}`;
      return answer.question === null ? "answers another question" : answer;
    }
  }

  async #exchangeOne(
    index: number,
    name: string,
    type: number,
    edns: boolean,
    over: "udp" | "tcp",
  ): Promise<Answer | string> {
    const id = this.#randomBelow(0x1_0000);
    const query = encodeQuery({ id, name, type, edns });
    if (query === null) return "cannot be asked: it is no DNS name";
    let garbage = false;
    let found: Answer | null = null;
    await this.#exchange(this.#servers[index], query, over, this.#timeoutMs, (bytes) => {
      const answer = parseAnswer(bytes);
      garbage ||= answer === null;
      if (answer === null || answer.id !== id || !isAbout(answer, name, type)) return false;
      found = answer;
      return true;
    });
    if (found !== null) return found;
    return garbage
      ? "answers with what is no DNS message"
      : `does not answer within ${this.#timeoutMs} ms${over === "tcp" ? " over TCP" : ""}`;
  }

  /** DNS 0x20: somebody who forges an answer has to guess this, too. */
  #mixCase(name: string): string {
    let mixed = "";
    for (const letter of name)
      mixed += letter >= "a" && letter <= "z" && this.#randomBelow(2) === 1 ? letter.toUpperCase() : letter;
    return mixed;
  }
}

/** Servers that understand nothing of a query may leave the question out. */
function isAbout({ question, rcode }: Answer, name: string, type: number): boolean {
  if (question === null) return rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN;
  return question.type === type && question.class === CLASS.IN && nameKey(question.name) === nameKey(name);
}

function addressesOf({ additionals }: Answer): Resolution["addresses"] {
  const found = new Map<string, { address: string; ttl: number }[]>();
  for (const { name, data, ttl } of additionals) {
    if (data?.kind !== "address") continue;
    const known = found.get(name);
    if (known === undefined) found.set(name, [{ address: data.address, ttl }]);
    else known.push({ address: data.address, ttl });
  }
  return found;
}

function hasSoa({ authorities }: Answer): boolean {
  return authorities.some(({ data }) => data?.kind === "soa");
}

/** RFC 2308 section 5: the SOA's minimum, and never longer than its record may be kept. */
function negativeTtl({ authorities }: Answer): number {
  const soa: AnswerRecord | undefined = authorities.find(({ data }) => data?.kind === "soa");
  return soa?.data?.kind === "soa" ? Math.min(soa.ttl, soa.data.minimum) : NEGATIVE_TTL;
}

const NO_ADDRESSES: Resolution["addresses"] = new Map();
const RCODE_NAMES: Readonly<Record<number, string>> = { 1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED" };
const MAX_ALIASES = 8;
/** Of servers that say nothing, s. */
const NEGATIVE_TTL = 5;
