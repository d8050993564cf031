import type { Endpoint } from "../core/endpoint.ts";
import { nameKey } from "../wire/dns/name.ts";
import { nsData, type RecordData, soaData, wireName } from "../wire/dns/record.ts";
import { type NameNode, serviceNames } from "./service-names.ts";

export interface ZoneOptions {
  /** Seconds that answers may be kept. Default 5. */
  ttl?: number;
  /** Of this process: endpoints in it go first in SRV records. Default "" (unknown). */
  zone?: string;
}

/** What is at a name. "apex" is the zone's own. */
export type Found = NameNode | "apex" | "unknown" | "outside";

/**
 * The zone `weft.`: names of all services, made of the endpoints that the registry knows. Pure: deltas in, answers out. A service's names are made again when
 * one is asked for after its endpoints changed.
 */
export class Zone {
  readonly domain = DOMAIN;
  readonly ttl: number;
  readonly #zone: string;
  readonly #services = new Map<string, Service>();
  readonly #serviceOf = new Map<string, string>();
  #serial = 1;
  #soa: RecordData | null = null;

  constructor(options: ZoneOptions = {}) {
    this.ttl = options.ttl ?? 5;
    this.#zone = options.zone ?? "";
  }

  /** Seconds that "there is no such name" may be kept: never long, as the service may be about to start. */
  get negativeTtl(): number {
    return Math.min(this.ttl, 1);
  }

  /** Start of authority; its serial grows with each change. */
  get soa(): RecordData {
    this.#soa ??= soaData(SERVER, MAILBOX, this.#serial, this.negativeTtl);
    return this.#soa;
  }

  get ns(): RecordData {
    return NS;
  }

  get services(): number {
    return this.#services.size;
  }

  apply(delta: {
    readonly full: boolean;
    readonly changed: readonly Endpoint[];
    readonly removed: readonly { readonly id: string }[];
  }): void {
    if (delta.full) {
      const kept = new Set(delta.changed.map(({ id }) => id));
      for (const id of [...this.#serviceOf.keys()]) if (!kept.has(id)) this.#remove(id);
    }
    for (const { id } of delta.removed) this.#remove(id);
    for (const endpoint of delta.changed) this.#set(endpoint);
    this.#serial = (this.#serial + 1) >>> 0;
    this.#soa = null;
  }

  /** What is at a name, in whatever case it is written. */
  find(asked: string): Found {
    const name = nameKey(asked);
    if (name === DOMAIN) return "apex";
    if (!name.endsWith(BELOW)) return "outside";
    const before = name.slice(0, -BELOW.length);
    const dot = before.lastIndexOf(".");
    const service = this.#services.get(before.slice(dot + 1));
    if (service === undefined) return before === SERVER_LABEL ? SERVER_NODE : "unknown";
    service.names ??= serviceNames(service.name, DOMAIN, service.endpoints.values(), this.#zone);
    return service.names.get(dot < 0 ? "" : before.slice(0, dot)) ?? "unknown";
  }

  #set(endpoint: Endpoint): void {
    const { id } = endpoint;
    const name = nameKey(endpoint.service);
    if (this.#serviceOf.get(id) !== name) this.#remove(id);
    let service = this.#services.get(name);
    if (service === undefined) this.#services.set(name, (service = { name, endpoints: new Map(), names: null }));
    service.endpoints.set(id, endpoint);
    service.names = null;
    this.#serviceOf.set(id, name);
  }

  #remove(id: string): void {
    const name = this.#serviceOf.get(id);
    if (name === undefined) return;
    this.#serviceOf.delete(id);
    const service = this.#services.get(name);
    if (service === undefined) return;
    service.endpoints.delete(id);
    service.names = null;
    if (service.endpoints.size === 0) this.#services.delete(name);
  }
}

interface Service {
  readonly name: string;
  readonly endpoints: Map<string, Endpoint>;
  names: ReadonlyMap<string, NameNode> | null;
}

const DOMAIN = "weft.";
const BELOW = `.${DOMAIN}`;
/** Named as the zone's server, for those who insist on one. A service of that name takes its place. */
const SERVER_LABEL = "ns";
const SERVER = wireName(`${SERVER_LABEL}.${DOMAIN}`);
const MAILBOX = wireName(`hostmaster.${DOMAIN}`);
const NS = nsData(SERVER);
const SERVER_NODE: NameNode = { a: [], aaaa: [], srv: [], turn: 0 };
