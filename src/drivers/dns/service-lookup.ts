import { hostPort } from "../../core/address.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { TYPE } from "../../wire/dns/constants.ts";
import type { DnsTarget } from "./dns-url.ts";
import type { DnsResolver, Resolution } from "./resolver.ts";

/** The endpoints of a service as DNS names them. */
export interface ServiceNames {
  /** Healthy; each with the priority of its SRV record, lower ones first. */
  readonly endpoints: readonly { readonly endpoint: Endpoint; readonly priority: number }[];
  /** How long this may be kept, s. */
  readonly ttl: number;
}

/**
 * Looks a service up, in this order, and takes the first that has something:
 *
 *     web.DOMAIN SRV         Consul's DNS, weft's own
 *     _web._tcp.DOMAIN SRV   RFC 2782
 *     web.DOMAIN A and AAAA  with the port that the url says, or not at all
 *
 * Addresses of SRV targets are those that came along, or are asked for. Rejects `unavailable`, and then nothing is known of it.
 */
export async function lookUpService(service: string, target: DnsTarget, resolver: DnsResolver): Promise<ServiceNames> {
  const { domain } = target;
  let ttl = Number.POSITIVE_INFINITY;
  for (const name of [`${service}.${domain}`, `_${service}._tcp.${domain}`]) {
    const found = await resolver.resolve(name, TYPE.SRV);
    ttl = Math.min(ttl, found.ttl);
    if (found.values.length > 0) return fromServices(service, found, target, resolver);
  }
  if (target.port === null) return { endpoints: [], ttl };
  const [addresses, ownTtl] = await addressesOf(`${service}.${domain}`, resolver);
  const { port } = target;
  // Without any the shortest negative answer counts; with some what is not there in other forms does not.
  return {
    endpoints: unique(
      addresses.map((host) => ({ endpoint: endpointOf(service, host, port, 1, target, 0), priority: 0 })),
    ),
    ttl: addresses.length > 0 ? ownTtl : Math.min(ttl, ownTtl),
  };
}

async function fromServices(
  service: string,
  found: Resolution,
  target: DnsTarget,
  resolver: DnsResolver,
): Promise<ServiceNames> {
  let { ttl } = found;
  const listed = found.values
    .flatMap((value) => (value.kind === "srv" && value.target !== "." && value.port > 0 ? [value] : []))
    .slice(0, MAX_RECORDS);
  const known = new Map<string, readonly string[]>();
  const wanted = [...new Set(listed.map((record) => record.target))];
  for (let i = 0; i < wanted.length; i += AT_ONCE) {
    await Promise.all(
      wanted.slice(i, i + AT_ONCE).map(async (name) => {
        const along = found.addresses.get(name);
        const [addresses, ownTtl] =
          along === undefined
            ? await addressesOf(name, resolver)
            : [along.map(({ address }) => address), Math.min(...along.map((one) => one.ttl))];
        known.set(name, addresses);
        ttl = Math.min(ttl, ownTtl);
      }),
    );
  }
  const endpoints = listed.flatMap(({ target: name, port, weight, priority }) =>
    (known.get(name) ?? []).map((host) => ({
      endpoint: endpointOf(service, host, port, weight, target, priority),
      priority,
    })),
  );
  return { endpoints: unique(endpoints), ttl };
}

async function addressesOf(name: string, resolver: DnsResolver): Promise<readonly [addresses: string[], ttl: number]> {
  const both = await Promise.all([resolver.resolve(name, TYPE.A), resolver.resolve(name, TYPE.AAAA)]);
  const addresses = both.flatMap(({ values }) =>
    values.flatMap((value) => (value.kind === "address" ? [value.address] : [])),
  );
  // What is not there may come soon, but says nothing of what is: many names have no AAAA.
  const counted = addresses.length === 0 ? both : both.filter(({ values }) => values.length > 0);
  return [addresses.slice(0, MAX_RECORDS), Math.min(...counted.map(({ ttl }) => ttl))];
}

function endpointOf(
  service: string,
  host: string,
  port: number,
  weight: number,
  { protocol }: DnsTarget,
  priority: number,
): Endpoint {
  return {
    id: `${service}/${hostPort(host, port)}`,
    service,
    host,
    port,
    version: "",
    zone: "",
    // Weights of SRV may be 0 ("hardly ever") and go up to 65,535.
    weight: Math.min(Math.max(weight, 1), 10_000),
    protocol,
    health: "healthy",
    metadata: priority === 0 ? {} : { "dns.priority": String(priority) },
  };
}

/** One address and port is one endpoint, of the best priority that it has. */
function unique(all: ServiceNames["endpoints"]): ServiceNames["endpoints"] {
  const byId = new Map<string, ServiceNames["endpoints"][number]>();
  for (const one of all) {
    const other = byId.get(one.endpoint.id);
    if (other === undefined || one.priority < other.priority) byId.set(one.endpoint.id, one);
  }
  return [...byId.values()];
}

const MAX_RECORDS = 2_048;
const AT_ONCE = 16;
